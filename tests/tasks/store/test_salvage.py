"""What is whole of an artifact that was set aside is gone on from, and nothing of it is lost."""

import errno
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

from tasks.store import salvage
from tasks.store.artifact import Artifact
from tasks.store.aside import set_aside
from tasks.store.disk import explaining_full_disk
from tasks.store.errors import DiskFullError
from tasks.store.garbage import Garbage, delete, find_garbage, leftovers
from tasks.store.lookup import Lookup
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.rewriting import put_in_place, scratch_of
from tasks.store.store import Store
from tasks.store.verification import Memory
from tests.faults.changes import changes_of, ended_at
from tests.faults.table import Table
from tests.tasks.store.making import Listener, flip_bit, identity_of, make, write_files
from tests.tasks.store.test_erased import ERASURE

IDENTITY = identity_of("pretrain")
STEPS = [f"checkpoints/step-{step:08d}" for step in (2, 4, 6)]
FILES = {f"{step}/{name}": f"{step} {name}".encode() for step in STEPS for name in ("a", "b")} | {
    "model": b"weights",
    "part-0": b"rows",
}
WANTED = ("checkpoints", "part-*")


def made(store: Store, mark: str = "") -> Artifact:
    """An artifact that `mark` makes another result of the same request."""
    files = {name: content + mark.encode() for name, content in FILES.items()}
    return make(store, IDENTITY, files=files)


def put_aside(store: Store, artifact: Artifact, *damaged: str) -> Path:
    """Where it lies, with some files damaged."""
    for name in damaged:
        flip_bit(artifact.path / name)
    place = set_aside(store.workspace, artifact.path, artifact.path.lstat(), ["it is a test"])
    assert place
    return place


def opened(store: Store, wanted: tuple[str, ...] = WANTED) -> set[str]:
    """The files in the staging folder when a stage begins to work there."""
    with store.lease(IDENTITY.stage, IDENTITY.input_id) as lease:
        return names_in(store.staging(lease, {}, wanted).folder)


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def of_steps(*steps: str) -> set[str]:
    return {name for name in FILES if name.rpartition("/")[0] in steps}


def test_only_what_the_stage_goes_on_from_leaves_quarantine(store: Store) -> None:
    place = put_aside(store, made(store), "part-0")
    before = names_in(place)
    assert opened(store, ()) == set()
    assert names_in(place) == before
    assert opened(store, ("part-*",)) == set()
    assert opened(store, ("checkpoints",)) == of_steps(*STEPS)
    assert names_in(place) == {"model", "part-0", MANIFEST_NAME}


def test_a_damaged_checkpoint_stays_behind_with_those_after_it(store: Store) -> None:
    place = put_aside(store, made(store), f"{STEPS[1]}/b")
    assert opened(store) == of_steps(STEPS[0]) | {"part-0"}
    assert names_in(place) >= of_steps(*STEPS[1:])


def test_they_follow_when_the_damaged_one_was_written_again(store: Store) -> None:
    put_aside(store, made(store), f"{STEPS[1]}/b")
    opened(store)
    [folder] = store.workspace.staging.glob("*/*/*")
    again = {name: FILES[name] for name in of_steps(STEPS[1])}
    write_files(folder, again | {f"{STEPS[1]}/b": b"of another machine"})
    assert not opened(store) & of_steps(STEPS[2])
    [folder] = store.workspace.staging.glob("*/*/*")
    write_files(folder, again)
    assert opened(store) >= of_steps(*STEPS)


@pytest.mark.parametrize("event", ["os.rename", pytest.param("", marks=pytest.mark.faults)])
def test_killed_anywhere_in_it_nothing_is_lost(
    store: Store, tmp_path: Path, event: str, table: Table
) -> None:
    place = put_aside(store, made(store), "model")
    template, workspace = tmp_path / "template", store.workspace.path
    shutil.copytree(workspace, template)

    def begin_again() -> None:
        shutil.rmtree(workspace)
        shutil.copytree(template, workspace)

    changes = changes_of(workspace, partial(opened, store))
    moves = [name for name in changes if name.startswith("os.rename staging/pretrain/ID/ID/")]
    assert len(moves) == len(FILES) - 1
    within = {name for name in changes if " staging/pretrain/" in name}
    places = sorted({each for each in changes if each.startswith(event)} & within)
    for name in places:
        for turn in {1, changes.count(name)}:
            begin_again()
            killed = ended_at(name, workspace, partial(opened, store), turn=turn)
            assert killed.status == -signal.SIGKILL
            assert opened(store) == set(FILES) - {"model"}, name
            [folder] = store.workspace.staging.glob("*/*/*")
            assert all(os.access(folder / each, os.W_OK) for each in FILES if each != "model")
            assert names_in(place) == {"model", MANIFEST_NAME}
    what = "whole files of a damaged artifact are taken over"
    table.add(f"SIGKILL at {len(places)} places while {what}", "pretrain", "none is lost")


def test_what_an_older_one_has_is_used_where_the_newest_has_nothing(store: Store) -> None:
    older = put_aside(store, made(store, "1"), "model")
    newest = put_aside(store, made(store, "2"), f"{STEPS[0]}/a", "part-0")
    os.utime(older / MANIFEST_NAME, (1, 1))
    assert opened(store) == {*of_steps(*STEPS), "part-0"}
    assert names_in(newest) == {*FILES, MANIFEST_NAME}
    assert names_in(older) == {"model", MANIFEST_NAME}


def test_checkpoints_of_two_results_are_not_mixed(store: Store) -> None:
    older = put_aside(store, made(store, "1"))
    put_aside(store, made(store, "2"), f"{STEPS[1]}/a")
    os.utime(older / MANIFEST_NAME, (1, 1))
    assert opened(store) == of_steps(STEPS[0]) | {"part-0"}
    assert names_in(older) == {*FILES, MANIFEST_NAME}


def test_nothing_is_used_of_what_documents_were_erased_from(store: Store) -> None:
    artifact = made(store)
    write_files(scratch_of(store.workspace, artifact), {"model": b"without them"})
    put_in_place(store.workspace, artifact, "1", ERASURE)
    place = put_aside(store, artifact)
    before = names_in(place)
    assert opened(store) == set()
    assert names_in(place) == before


def test_files_of_another_user_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot change a file's permissions cannot go on from it."""
    put_aside(store, made(store))
    with monkeypatch.context() as patch:
        patch.setattr("tasks.store.salvage.os.geteuid", lambda: os.getuid() + 1)
        assert opened(store) == set()
    assert opened(store) == set(FILES) - {"model"}


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EIO])
def test_what_the_disk_does_not_give_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    place = put_aside(store, made(store))
    refuse_renames(monkeypatch, number)
    assert salvage.salvage(place.parent, IDENTITY.input_id, {}, store.workspace.path, WANTED) == 0
    assert names_in(place) == {*FILES, MANIFEST_NAME}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_what_would_stop_the_work_too_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    place = put_aside(store, made(store))
    refuse_renames(monkeypatch, number)
    expected = DiskFullError if number == errno.ENOSPC else OSError
    with pytest.raises(expected), explaining_full_disk(place):
        salvage.salvage(place.parent, IDENTITY.input_id, {}, store.workspace.path, WANTED)


def refuse_renames(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "rename", refuse)


def test_it_is_not_deleted_under_the_hands_of_who_takes_it_over(store: Store) -> None:
    place = put_aside(store, made(store))
    lookup = Lookup(store.workspace, Listener().append, Memory())
    [garbage] = [each for each in find_garbage(lookup, 0) if each.path == place]
    with store.lease(IDENTITY.stage, IDENTITY.input_id):
        assert not delete(lookup, garbage)
        assert Garbage(place, None) in leftovers(lookup)  # an erasure leaves nothing
    assert delete(lookup, garbage)
    assert not place.exists()
    assert not list(store.workspace.leases.glob("*/*"))
