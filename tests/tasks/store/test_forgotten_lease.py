"""A lease that is forgotten begins again at 1, and harms nobody who looked or held it before."""

import threading
from pathlib import Path

import pytest

from tasks.store.errors import LeaseLostError
from tasks.store.garbage import delete, find_garbage
from tasks.store.lease import Lease, Pace, Seen, hold_lease, is_held, try_lease
from tasks.store.lease_files import FolderSeat
from tasks.store.lookup import Lookup
from tasks.store.store import Store
from tasks.store.verification import Memory
from tests.tasks.store.making import Listener, identity_of, make

IMPATIENT = Pace(60, 0.05)


def taken(folder: Path) -> Lease:
    lease = try_lease(FolderSeat(folder), "vocab", "x")
    assert lease
    return lease


def forget_row(folder: Path) -> None:
    """What garbage collection does with the lease."""
    lease = taken(folder)
    lease.forget()
    lease.release()
    assert not folder.exists()


def test_garbage_collection_forgets_while_it_holds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = identity_of(k=1)
    make(store, identity)
    lookup = Lookup(store.workspace, Listener().append, Memory())
    (garbage,) = find_garbage(lookup, older_than_days=0)
    seat = lookup.seat("vocab", identity.input_id)
    real, found = FolderSeat.forget, []

    def late(self: FolderSeat, mine: Seen) -> None:
        found.append(try_lease(seat, "vocab", identity.input_id))
        real(self, mine)

    monkeypatch.setattr(FolderSeat, "forget", late)
    assert delete(lookup, garbage)
    assert found == [None], "another may have it, and what goes would be its lease"
    assert seat.newest() is None


def test_who_waits_for_garbage_collection_has_it_for_itself_afterwards(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = identity_of(k=1)
    made = make(store, identity)
    lookup = Lookup(store.workspace, Listener().append, Memory())
    (garbage,) = find_garbage(lookup, older_than_days=0)
    real, again = FolderSeat.forget, []
    maker = threading.Thread(target=lambda: again.append(make(store, identity)))

    def late(self: FolderSeat, mine: Seen) -> None:
        maker.start()
        maker.join(0.3)  # it sees the lease and waits
        real(self, mine)

    monkeypatch.setattr(FolderSeat, "forget", late)
    assert delete(lookup, garbage)
    maker.join(30)
    assert [each.ref for each in again] == [made.ref]


@pytest.mark.parametrize("step", ["newest", "_begin"])
def test_who_looked_before_it_was_forgotten_does_not_take_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whether the row begins anew before the claim, or within it just before its file is made."""
    folder = tmp_path / "lease"
    taken(folder).release()
    seat = FolderSeat(folder)
    before = seat.newest()
    real, live = getattr(FolderSeat, step), []

    def late(self: FolderSeat, *arguments: object) -> object:
        monkeypatch.undo()
        forget_row(folder)
        live.append(taken(folder))
        return real(self, *arguments)

    monkeypatch.setattr(FolderSeat, step, late)
    assert seat.claim(before, 2, b"{}") is None
    (lease,) = live
    assert lease.fence == 1
    lease.check()
    assert [path.name for path in folder.iterdir()] == ["000001.json"]


def test_who_paused_in_its_claim_takes_no_row_that_was_begun_anew_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lease"
    real, live = FolderSeat._begin, []

    def paused_after(self: FolderSeat, path: Path, record: bytes) -> bool:
        monkeypatch.undo()
        assert real(self, path, record)
        path.unlink()  # taken over, and forgotten by who did
        live.append(taken(folder))
        return True

    monkeypatch.setattr(FolderSeat, "_begin", paused_after)
    assert FolderSeat(folder).claim(None, 1, b"{}") is None
    live[0].check()


def test_who_wakes_takes_no_lease_of_the_same_number_for_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "lease"
    paused = taken(folder)
    with hold_lease(FolderSeat(folder), "vocab", "x", pace=IMPATIENT, say=Listener()) as second:
        assert second.fence == 2
    forget_row(folder)
    third = taken(folder)
    assert third.fence == paused.fence
    before = (folder / "000001.json").read_bytes()
    with pytest.raises(LeaseLostError):
        paused.check()
    paused.release()
    paused.forget()
    assert (folder / "000001.json").read_bytes() == before
    assert is_held(FolderSeat(folder).newest()), "or what it works on would be garbage"
    third.check()


def test_a_holder_that_was_taken_over_forgets_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "lease"
    paused = taken(folder)
    with hold_lease(FolderSeat(folder), "vocab", "x", pace=IMPATIENT, say=Listener()) as second:
        paused.forget()
        second.check()


def test_a_folder_that_goes_while_it_is_looked_at_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lease"
    taken(folder).release()
    real = Path.iterdir

    def late(self: Path) -> object:
        if self == folder:
            monkeypatch.undo()
            forget_row(folder)
        return real(self)

    monkeypatch.setattr(Path, "iterdir", late)
    assert FolderSeat(folder).newest() is None


def test_a_folder_that_goes_while_it_is_made_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lease"

    def late(self: Path, *arguments: object, **options: object) -> None:
        monkeypatch.undo()
        raise FileExistsError(self)  # as where it is gone again when it is asked for

    monkeypatch.setattr(Path, "mkdir", late)
    said = Listener()
    with hold_lease(FolderSeat(folder), "vocab", "x", pace=IMPATIENT, say=said) as lease:
        assert lease.fence == 1
    assert said == []
