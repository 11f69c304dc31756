"""Leases: one process at a time works on a request, and the work of a dead one is taken over.

A lease counts its holders: each has a fence, one higher than the one before, and the highest
holds it. Taking over means being the first with the next one, which the place where leases lie
decides, so no lock is needed that a stopped process could keep. The holder rewrites its own
record at every heartbeat.

A lease only saves work. What is safe is the commit: whoever loses a lease unknowingly cannot
harm what others publish.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from model.errors import RequestError
from tasks.store.errors import DiskFullError, LeaseLostError, StorageError
from tasks.store.owner import Owner, is_alive_here, is_known_dead, this_process


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
    """What a holder says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Owner
    attempt_id: str
    beat: int = 0
    released: bool = False


@dataclass(frozen=True)
class Seen:
    """The highest fence and what is recorded of it.

    Attributes:
        fence: of the holder.
        raw: the record as it lies there.
        record: what it says; None where it is no lease.
        tag: of this version, where versions have one.
    """

    fence: int
    raw: bytes
    record: LeaseRecord | None
    tag: str = ""


class Seat(Protocol):
    """Where the records of one lease lie."""

    @property
    def poll_s(self) -> float:
        """Seconds between two looks of who waits."""

    def newest(self) -> Seen | None:
        """The highest fence, if anybody ever held the lease."""

    def claim(self, before: Seen | None, fence: int, record: bytes) -> Seen | None:
        """Be the first with the next fence; None when another was since `before` was seen."""

    def rewrite(self, mine: Seen, record: bytes) -> Seen | None:
        """Replace the own record; None where another holds the lease."""

    def forget(self, mine: Seen) -> None:
        """Remove the own record, so that fences begin anew, where that cannot hit another's."""


@dataclass
class Lease:
    """The right to work on a request, held until the block that took it ends.

    Attributes:
        stage: whose request it is.
        input_id: the request.
        seat: where it lies.
        fence: grows by one with every holder.
        attempt_id: names this holder's staging folder.
        cut_off: whether an earlier holder may be alive and only paused.
    """

    stage: str
    input_id: str
    seat: Seat
    fence: int
    attempt_id: str
    cut_off: bool
    _mine: Seen
    _beat: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Beat once, now.

        Raises:
            LeaseLostError: another process has taken over.
        """
        self._write(released=False)

    def release(self) -> None:
        """Let others have it at once; nothing happens where another has it already.

        Where its place cannot be reached or written to, others wait until they lose patience, or
        until this process ends.
        """
        with contextlib.suppress(LeaseLostError, StorageError, DiskFullError, OSError):
            self._write(released=True)

    def forget(self) -> None:
        """Leave nothing of it, since nobody needs it any more, as the last act of who holds it.

        Where another has it by now, or its place keeps it, nothing happens.
        """
        with contextlib.suppress(OSError):
            self.seat.forget(self._mine)

    def _write(self, *, released: bool) -> None:
        with self._writing:
            self._beat += 1
            record = _record(self.attempt_id, self._beat, released=released)
            mine = self.seat.rewrite(self._mine, record)
            if mine is None:
                raise LeaseLostError(
                    f"another process took over {self.stage}/{self.input_id} while this one stood "
                    "still: run again to use its result"
                )
            self._mine = mine


@contextlib.contextmanager
def hold_lease(
    seat: Seat,
    stage: str,
    input_id: str,
    *,
    pace: Pace,
    say: Callable[[str], None],
    is_patient: bool = True,
) -> Iterator[Lease]:
    """Take the lease, waiting while another live process has it, and keep it through the block.

    Raises:
        RequestError: another process has it and shows that it lives, and we are not patient.
    """
    lease = _take(seat, stage, input_id, pace, say, is_patient=is_patient)
    stop = threading.Event()
    heart = threading.Thread(target=_keep_beating, args=(lease, pace, stop), daemon=True)
    try:
        heart.start()
        yield lease
    finally:
        stop.set()
        if heart.ident:  # else there was no memory to start it
            heart.join()
        lease.release()


def try_lease(seat: Seat, stage: str, input_id: str) -> Lease | None:
    """The lease, without heartbeat and for a moment only, unless someone may be at work."""
    newest = seat.newest()
    return None if is_held(newest) else _claim(seat, stage, input_id, newest)


def is_held(seen: Seen | None) -> bool:
    """Whether someone may be working under it, as far as one look can tell."""
    if seen is None:
        return False
    return seen.record is None or not (seen.record.released or is_known_dead(seen.record.owner))


def _take(
    seat: Seat,
    stage: str,
    input_id: str,
    pace: Pace,
    say: Callable[[str], None],
    *,
    is_patient: bool,
) -> Lease:
    watched: Seen | None = None
    since = time.monotonic()
    while True:
        newest = seat.newest()
        silent_s = time.monotonic() - since
        if not is_held(newest) or (newest == watched and silent_s > pace.patience_s):
            lease = _claim(seat, stage, input_id, newest)
            if lease:
                return lease
        elif not is_patient and _shows_life(newest, watched):
            raise RequestError(
                f"{stage}: {_holder(newest)} is at it already: wait until it has ended, or stop it"
            )
        if newest != watched:
            if watched is None or newest is None or newest.fence != watched.fence:
                say(f"{stage}: waiting for {_holder(newest)}, which works on the same")
            watched, since = newest, time.monotonic()
        time.sleep(seat.poll_s)


def _shows_life(newest: Seen | None, watched: Seen | None) -> bool:
    """Whether the holder runs on this machine, or has beaten between two looks."""
    if newest is None or newest.record is None:
        return False
    return is_alive_here(newest.record.owner) or (watched is not None and newest != watched)


def _claim(seat: Seat, stage: str, input_id: str, before: Seen | None) -> Lease | None:
    """Be the first with the next fence; None when another was."""
    fence = before.fence + 1 if before else 1
    attempt_id = f"{fence:06d}-{secrets.token_hex(4)}"
    mine = seat.claim(before, fence, _record(attempt_id, 0, released=False))
    if mine is None:
        return None
    return Lease(stage, input_id, seat, fence, attempt_id, is_held(before), mine)


def _keep_beating(lease: Lease, pace: Pace, stop: threading.Event) -> None:
    while not stop.wait(pace.beat_s):
        try:
            lease.check()
        except LeaseLostError:
            return  # the holder finds out at its own next check
        except (OSError, ValueError, MemoryError):
            continue  # what is full or slow now may have room at the next beat


def _record(attempt_id: str, beat: int, *, released: bool) -> bytes:
    record = LeaseRecord(owner=this_process(), attempt_id=attempt_id, beat=beat, released=released)
    return record.model_dump_json().encode()


def parse_record(raw: bytes) -> LeaseRecord | None:
    """What a holder has written; None where it is damaged."""
    try:
        return LeaseRecord.model_validate_json(raw)
    except ValidationError:
        return None


def _holder(seen: Seen | None) -> str:
    if seen is None or seen.record is None:
        return "another process"
    owner = seen.record.owner
    return f"process {owner.pid} on {owner.machine.partition('/')[0]}"
