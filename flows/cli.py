"""The entry point: keeps stdout clean and turns every way out into an exit status."""

import contextlib
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, TextIO

from flows import leaving
from flows.clearing import Unrepeated
from flows.errors import ApiGoneError
from flows.leaving import TERMINATED
from flows.parser import parse
from model.errors import CorpusmithError, RequestError
from tasks.redaction import without_secrets
from tasks.visible_text import visible

# What libraries say that raise other errors than MemoryError.
_NO_MEMORY = ("can't allocate memory", "Cannot allocate memory", "can't start new thread")
# What the system says of a disk that may only be read; libraries pass it on in errors of their own.
_READ_ONLY = "Read-only file system"
# What it says where the disk could not keep or give back what was written to it.
_DISK_FAILS = "Input/output error"

_MAX_CHARACTERS = 4000  # of a line that may quote what it complains of

_CONTROLS = re.compile("[\x7f-\x9f\ud800-\udfff]")

LAST_WORDS_S = 5.0
DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


class Terminated(BaseException):
    """SIGTERM arrived; what is finished stays, the rest is resumable."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if arguments is None:  # the process is ours
        leaving.skip_teardown()
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Idle threads that spin starve the others wherever a processor is shared; five times slower
    # training was measured so. It is read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # torch's kernels count on the threads they ask for: with fewer, gradients were not a number.
    os.environ["OMP_DYNAMIC"] = "FALSE"
    return exit_status(lambda: _run_bounded(given), debug="--debug" in given)


def exit_status(work: Callable[[], object], *, debug: bool = False) -> int:
    """Do the work; where it fails or is ended, say so in one line on stderr.

    Args:
        work: what a command does.
        debug: whether to show the traceback before that line.
    """
    signal.signal(signal.SIGTERM, Unrepeated(terminate))
    try:
        work()
    except SystemExit as way_out:  # argparse leaves this way after --help
        return int(way_out.code or DONE)
    except BaseException as error:
        return _explain(error, debug=debug)
    return DONE


def _run_bounded(given: Sequence[str]) -> None:
    """As `_run`; where Prefect's API is gone, Prefect's last words do not hold us up.

    At the interpreter's end it sends what it has left, and asks again for minutes for every event.
    """
    try:
        _run(given)
    except ApiGoneError:
        leaving = threading.Timer(LAST_WORDS_S, os._exit, (FAILED,))
        leaving.daemon = True
        leaving.start()
        raise


def _run(given: Sequence[str]) -> None:
    options = parse(given)
    from flows.commands import command_of  # after parsing, so that --help answers at once

    command = command_of(options.command)
    if options.json:
        with stdout_for_answer() as stdout:
            stdout.write(_json_line(command.answer(options)))
    else:
        command.show(command.answer(options))


def _json_line(answer: dict[str, Any]) -> str:
    """JSON escapes control characters below 32 only; terminals act on those above 126, too."""
    line = json.dumps(answer, ensure_ascii=False) + "\n"
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


@contextlib.contextmanager
def stdout_for_answer() -> Iterator[TextIO]:
    """Keep the real stdout for one answer; whatever else is printed, by any library or child
    process, goes to stderr."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout:
        os.dup2(2, 1)
        try:
            yield stdout
        finally:
            sys.stdout.flush()
            stdout.flush()
            os.dup2(stdout.fileno(), 1)


def terminate(signum: int, frame: FrameType | None) -> None:
    """Handles SIGTERM."""
    raise Terminated


def _explain(error: BaseException, *, debug: bool) -> int:
    if debug:
        sys.stderr.write(without_secrets("".join(traceback.format_exception(error))))
    status, line = _verdict(error)
    shown = without_secrets(line)
    shown = shown if len(shown) <= _MAX_CHARACTERS else f"{shown[:_MAX_CHARACTERS]}…"
    sys.stderr.write(f"corpusmith: {visible(shown)}\n")
    if status == TERMINATED:
        sys.stderr.flush()
        leaving.told.set()  # only now: from here on the process may be ended at any moment
    return status


def _verdict(error: BaseException) -> tuple[int, str]:
    match error:
        case RequestError():
            return REFUSED, str(error)
        case CorpusmithError():
            return FAILED, str(error)
        case Terminated():
            return TERMINATED, leaving.STOPPED
        case KeyboardInterrupt():
            return INTERRUPTED, "stopped: run the same command again to go on"
    first = str(error).strip().split("\n", 1)[0]
    name = type(error).__name__
    if isinstance(error, MemoryError) or any(said in str(error) for said in _NO_MEMORY):
        return FAILED, (
            f"out of memory ({first or name}): end other programs or raise the limit, then run the "
            "same command again to go on"
        )
    if _READ_ONLY in str(error):
        return FAILED, (
            f"{first}: have its disk made writable (systems stop writing to one that has errors), "
            "then run the same command again to go on"
        )
    if _DISK_FAILS in str(error):
        return FAILED, (
            f"{first}: the disk fails: look at it (and at the system's log), then run the same "
            "command again to go on"
        )
    return FAILED, f"{name}: {first}: run again with --debug and report it if it stays"
