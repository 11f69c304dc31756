"""What the flows of one run share: the store, the tracker, the watcher's console, the outcomes."""

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from tasks.execute import Outcome
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tracking import Tracker, open_tracker

_current: ContextVar["Session | None"] = ContextVar("corpusmith_session", default=None)


@dataclass
class Session:
    """One run, from the first stage to the release.

    Attributes:
        may_quote: whether the user lets text of documents go to the tracker.
    """

    run_id: str
    workspace: Workspace
    store: Store
    tracker: Tracker
    console: Console
    may_quote: bool
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@contextlib.contextmanager
def session(
    workspace: str,
    *,
    experiment: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    may_quote: bool = False,
) -> Iterator[Session]:
    """The run in progress if there is one, else a new one that ends with this block."""
    running = _current.get()
    if running:
        yield running
        return
    opened = _open(workspace, experiment, params, tags, may_quote)
    token = _current.set(opened)
    status = "KILLED"
    try:
        yield opened
        status = "FINISHED"
    except Exception:  # goes on; only noted how the run ended
        status = "FAILED"
        raise
    finally:
        _current.reset(token)
        opened.tracker.close(status)


def _open(
    location: str,
    experiment: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    may_quote: bool,
) -> Session:
    workspace = Workspace.open(location)
    console = Console(stderr=True, soft_wrap=True)

    def warn(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    store = Store(workspace, warn=warn, say=say)
    run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    tracker = open_tracker(
        workspace.state,
        experiment=experiment,
        run_id=run_id,
        run_name=run_id,
        tags={"corpusmith.run_id": run_id, **tags},
        params=params,
        warn=warn,
    )
    return Session(run_id, workspace, store, tracker, console, may_quote)
