"""What a run notes in its record of how it goes: written when it begins, and again when it ends."""

import datetime
import time
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tasks.store.owner import Owner, is_alive_here, is_known_dead, this_process

RUNNING, COMPLETED, FAILED, STOPPED, DIED = "running", "completed", "failed", "stopped", "died"
WHOLE_CHAIN = "pipeline"  # the flow whose runs stand for a workspace
REFRESH = "refresh"  # the nightly one, which trains nothing

Record = Mapping[str, Any]


def utc_now() -> str:
    """The moment, as records tell it: UTC, in seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def begun(run_id: str, flow: str) -> dict[str, Any]:
    """The record of a run of this process that begins now; `flow` says what runs."""
    return {
        "run_id": run_id,
        "flow": flow,
        "state": RUNNING,
        "started_at": utc_now(),
        "owner": this_process().model_dump(),
    }


def ended(record: Record, state: str) -> dict[str, Any]:
    """The record with how the run ended, and its seconds by the clock on the wall."""
    began = datetime.datetime.fromisoformat(record["started_at"]).timestamp()
    kept = {name: value for name, value in record.items() if name != "owner"}
    return kept | {"state": state, "seconds": round(max(time.time() - began, 0.0), 1)}


def state_of(record: Record) -> str:
    """How the run goes or went; "died" where its process is gone and said nothing.

    Records without a state are of versions that wrote them only when all was done.
    """
    state = str(record.get("state", COMPLETED))
    owner = _owner(record)
    return DIED if state == RUNNING and owner and is_known_dead(owner) else state


def is_going_on_here(record: Record) -> bool:
    """Whether a living process of this machine is at work on the run."""
    owner = _owner(record)
    return record.get("state") == RUNNING and owner is not None and is_alive_here(owner)


def _owner(record: Record) -> Owner | None:
    try:
        return Owner.model_validate(record.get("owner"))
    except ValidationError:
        return None
