"""Leases: one process at a time works on a request, and the work of a dead one is taken over.

A lease is a row of files ``<fence>.json``; the highest fence holds it. Taking over means being
the first to create the next one, which the file system decides, so no lock is needed that a
stopped process could keep. The holder rewrites its own file at every heartbeat.

A lease only saves work. What is safe is the commit: whoever loses a lease unknowingly cannot
harm what others publish.
"""

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.store.atomic import write_atomic
from tasks.store.errors import LeaseLostError
from tasks.store.owner import Owner, is_known_dead, this_process

_POLL_S = 0.1
_FENCE_FILE = re.compile(r"(\d{6,})\.json")


@dataclass(frozen=True)
class Pace:
    """How often a holder shows that it lives, and how long silence means that it does not.

    Attributes:
        beat_s: seconds between two heartbeats.
        patience_s: seconds without one, on the waiter's own clock, until it takes over. Long,
            because compiled code may hold the interpreter, and the heartbeat with it.
    """

    beat_s: float = 5.0
    patience_s: float = 60.0


PACE = Pace()


class LeaseRecord(BaseModel):
    """What a holder writes into its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Owner
    attempt_id: str
    beat: int = 0
    released: bool = False


@dataclass(frozen=True)
class Seen:
    """The highest fence and what its file holds; `record` is None where that is no lease."""

    fence: int
    raw: bytes
    record: LeaseRecord | None


@dataclass
class Lease:
    """The right to work on a request, held until the block that took it ends.

    Attributes:
        stage: whose request it is.
        input_id: the request.
        folder: where the files of this lease lie.
        fence: grows by one with every holder.
        attempt_id: names this holder's staging folder.
        cut_off: whether an earlier holder may be alive and only paused.
    """

    stage: str
    input_id: str
    folder: Path
    fence: int
    attempt_id: str
    cut_off: bool
    _beat: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Beat once, now.

        Raises:
            LeaseLostError: another process has taken over.
        """
        self._write(released=False)

    def release(self) -> None:
        """Let others have it at once; nothing happens where another has it already."""
        with contextlib.suppress(LeaseLostError):
            self._write(released=True)

    def _write(self, *, released: bool) -> None:
        with self._writing:
            newest = read_newest(self.folder)
            if newest is None or newest.fence != self.fence:
                raise LeaseLostError(
                    f"another process took over {self.stage}/{self.input_id} while this one stood "
                    "still: run again to use its result"
                )
            self._beat += 1
            record = _record(self.attempt_id, self._beat, released=released)
            write_atomic(_path(self.folder, self.fence), record, durable=False)


@contextlib.contextmanager
def hold_lease(
    folder: Path, stage: str, input_id: str, *, pace: Pace, say: Callable[[str], None]
) -> Iterator[Lease]:
    """Take the lease, waiting while another live process has it, and keep it through the block."""
    lease = _take(folder, stage, input_id, pace, say)
    stop = threading.Event()
    heart = threading.Thread(target=_keep_beating, args=(lease, pace, stop), daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        stop.set()
        heart.join()
        lease.release()


def try_lease(folder: Path, stage: str, input_id: str) -> Lease | None:
    """The lease, without heartbeat and for a moment only, unless someone may be at work."""
    newest = read_newest(folder)
    return None if is_held(newest) else _claim(folder, stage, input_id, newest)


def read_newest(folder: Path) -> Seen | None:
    """The highest fence of a lease, if anybody ever held it."""
    fences = _fences(folder)
    if not fences:
        return None
    try:
        raw = _path(folder, fences[-1]).read_bytes()
    except FileNotFoundError:  # removed by a holder with a higher fence
        return read_newest(folder)
    return Seen(fences[-1], raw, _parse(raw))


def is_held(seen: Seen | None) -> bool:
    """Whether someone may be working under it, as far as one look can tell."""
    if seen is None:
        return False
    return seen.record is None or not (seen.record.released or is_known_dead(seen.record.owner))


def _take(folder: Path, stage: str, input_id: str, pace: Pace, say: Callable[[str], None]) -> Lease:
    watched: Seen | None = None
    since = time.monotonic()
    while True:
        newest = read_newest(folder)
        silent_s = time.monotonic() - since
        if not is_held(newest) or (newest == watched and silent_s > pace.patience_s):
            lease = _claim(folder, stage, input_id, newest)
            if lease:
                return lease
        if newest != watched:
            if watched is None or newest is None or newest.fence != watched.fence:
                say(f"{stage}: waiting for {_holder(newest)}, which works on the same")
            watched, since = newest, time.monotonic()
        time.sleep(_POLL_S)


def _claim(folder: Path, stage: str, input_id: str, before: Seen | None) -> Lease | None:
    """Be the first with the next fence; None when another was."""
    folder.mkdir(parents=True, exist_ok=True)
    fence = before.fence + 1 if before else 1
    attempt_id = f"{fence:06d}-{secrets.token_hex(4)}"
    try:
        with _path(folder, fence).open("xb") as file:
            file.write(_record(attempt_id, 0, released=False))
    except FileExistsError:
        return None
    if _fences(folder)[-1] != fence:  # we looked long ago; the row has moved on
        _path(folder, fence).unlink(missing_ok=True)
        return None
    for old in _fences(folder)[:-1]:
        _path(folder, old).unlink(missing_ok=True)
    return Lease(stage, input_id, folder, fence, attempt_id, cut_off=is_held(before))


def _keep_beating(lease: Lease, pace: Pace, stop: threading.Event) -> None:
    while not stop.wait(pace.beat_s):
        try:
            lease.check()
        except LeaseLostError:
            return  # the holder finds out at its own next check
        except (OSError, ValueError):
            continue  # a full or slow disk now may have room at the next beat


def _fences(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_FENCE_FILE.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _path(folder: Path, fence: int) -> Path:
    return folder / f"{fence:06d}.json"


def _record(attempt_id: str, beat: int, *, released: bool) -> bytes:
    record = LeaseRecord(owner=this_process(), attempt_id=attempt_id, beat=beat, released=released)
    return record.model_dump_json().encode()


def _parse(raw: bytes) -> LeaseRecord | None:
    try:
        return LeaseRecord.model_validate_json(raw)
    except ValidationError:
        return None


def _holder(seen: Seen | None) -> str:
    if seen is None or seen.record is None:
        return "another process"
    owner = seen.record.owner
    return f"process {owner.pid} on {owner.machine.partition('/')[0]}"
