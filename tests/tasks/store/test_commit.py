"""A commit is one rename of a complete folder: killed anywhere, it is there or it is not."""

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from model.errors import ArtifactError
from tasks.store import staging as staging_module
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.errors import DiskFullError, FormatError, NondeterminismError, UnreadableError
from tasks.store.lookup import Lookup
from tasks.store.manifest import Manifest
from tasks.store.publication import publish_folder
from tasks.store.staging import Staging
from tasks.store.store import Store
from tests.tasks.store.making import (
    FILES,
    Listener,
    flip_bit,
    identity_of,
    killed_at_change,
    make,
    new_store,
    overwrite,
    resealed,
    write_files,
)

IDENTITY = identity_of(k=1)
WORKED = {**FILES, "scratch/rows": b"of no use later", "scratch/deep/more": b""}


def committed(staging: Staging) -> Artifact:
    return staging.commit(IDENTITY, {}, {})


def work_until_it_fails(store: Store, failure: Callable[[], object]) -> None:
    with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
        write_files(staging.folder, {"done/shard": b"finished", ".half.part": b"ha"})
        failure()


def test_killed_at_any_moment_nothing_half_is_found_and_the_rerun_is_equal(tmp_path: Path) -> None:
    expected = make(new_store(tmp_path / "unbroken"), IDENTITY).ref
    kills = 0
    for number in range(1, 1_000):
        place = tmp_path / str(number)
        warnings = Listener()
        store = new_store(place, warnings)
        if not killed_at_change(number, place, partial(make, store, IDENTITY, files=WORKED)):
            break
        kills += 1
        found = store.find(IDENTITY, {})
        assert found is None or found.ref == expected
        assert not warnings, "a kill is no damage"
        assert make(store, IDENTITY, files=WORKED).ref == expected
        assert store.verify_all() == []
        assert not list(store.workspace.staging.glob("*/*/*"))
    assert kills >= 20


def test_killed_again_and_again_in_one_workspace_it_still_ends(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    for number in (40, 3, 25, 12, 33, 18, 7, 28, 37):
        killed_at_change(number, tmp_path, lambda: make(store, IDENTITY))
    assert make(store, IDENTITY).manifest.total_bytes == sum(map(len, FILES.values()))
    assert store.verify_all() == []


def test_an_exception_leaves_the_folder_to_the_next_attempt(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        work_until_it_fails(store, lambda: 1 // 0)
    (left,) = store.workspace.staging.glob("vocab/*/*")
    assert store.find(IDENTITY, {}) is None
    with store.lease("vocab", IDENTITY.input_id) as lease:
        again = store.staging(lease)
        assert again.folder != left
        assert not left.exists()
        assert (again.folder / "done/shard").read_bytes() == b"finished"
        assert not (again.folder / ".half.part").exists()
        (again.folder / "done/shard").write_bytes(b"better")
        assert [file.name for file in committed(again).manifest.files] == ["done/shard"]
    assert not list(store.workspace.staging.rglob("*/*"))


def test_leftovers_of_a_commit_that_did_not_end_can_be_written_to(store: Store) -> None:
    with store.lease("vocab", IDENTITY.input_id) as lease:
        folder = store.staging(lease).folder
        write_files(folder, {"a": b"1", "MANIFEST.json": b"{}"})
        (folder / "a").chmod(0o444)
    with store.lease("vocab", IDENTITY.input_id) as lease:
        folder = store.staging(lease).folder
        assert (folder / "a").stat().st_mode & 0o200
        assert not (folder / "MANIFEST.json").exists()


def leave_sealed(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with its manifest, as a process leaves it that dies just before it publishes."""

    def die(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(staging_module, "publish_folder", die)
        with pytest.raises(InterruptedError):
            make(store, IDENTITY, files=WORKED)
    (left,) = store.workspace.staging.glob("vocab/*/*")
    return left


def test_what_was_sealed_is_published_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = leave_sealed(store, monkeypatch)
    (left / "scratch").mkdir()  # as if the end had come while it was removed
    (left / "scratch/rows").write_bytes(b"")
    with store.lease("vocab", IDENTITY.input_id) as lease:
        artifact = store.finish(lease, IDENTITY, {})
    assert artifact is not None
    assert store.find(IDENTITY, {}) == artifact
    assert {file.name for file in artifact.manifest.files} == set(FILES)
    assert not list(store.workspace.staging.rglob("*/*"))


def damage(store: Store, left: Path) -> None:
    flip_bit(left / "a.txt")


def lose_the_manifest(store: Store, left: Path) -> None:
    (left / "MANIFEST.json").unlink()


def cut_the_manifest_short(store: Store, left: Path) -> None:
    (left / "MANIFEST.json").chmod(0o644)
    (left / "MANIFEST.json").write_bytes(b"{}")


@pytest.mark.parametrize("change", [damage, lose_the_manifest, cut_the_manifest_short])
def test_what_was_sealed_and_is_not_whole_is_worked_on_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, change: Callable[[Store, Path], None]
) -> None:
    change(store, leave_sealed(store, monkeypatch))
    with store.lease("vocab", IDENTITY.input_id) as lease:
        assert store.finish(lease, IDENTITY, {}) is None
    assert make(store, IDENTITY).manifest.total_bytes == sum(map(len, FILES.values()))
    assert store.verify_all() == []


def write_as_a_newer_corpusmith(store: Store, left: Path) -> None:
    raw = (left / "MANIFEST.json").read_bytes()
    overwrite(left / "MANIFEST.json", resealed(raw, format_version=2))


def hide_the_manifest(store: Store, left: Path) -> None:
    (left / "MANIFEST.json").unlink()
    (left / "MANIFEST.json").mkdir()  # nobody can read it, not even root


@pytest.mark.parametrize(
    ("change", "error"),
    [(write_as_a_newer_corpusmith, FormatError), (hide_the_manifest, UnreadableError)],
)
def test_what_was_sealed_and_cannot_be_read_is_left_alone(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Store, Path], None],
    error: type[ArtifactError],
) -> None:
    """All of the work may be whole, so it is not begun anew."""
    left = leave_sealed(store, monkeypatch)
    change(store, left)
    with store.lease("vocab", IDENTITY.input_id) as lease, pytest.raises(error):
        store.finish(lease, IDENTITY, {})
    assert (left / "MANIFEST.json").exists()
    assert (left / "a.txt").read_bytes() == FILES["a.txt"]


def test_what_was_sealed_by_one_who_may_wake_up_is_worked_on_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_sealed(store, monkeypatch)
    with store.lease("vocab", IDENTITY.input_id) as lease:
        lease.cut_off = True
        assert store.finish(lease, IDENTITY, {}) is None


def test_what_was_sealed_of_other_inputs_is_worked_on_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_sealed(store, monkeypatch)
    other = make(store, identity_of("ingest"))
    with store.lease("vocab", IDENTITY.input_id) as lease:
        assert store.finish(lease, IDENTITY, {"ingest": other.ref}) is None


def test_scratch_stays_until_all_is_sealed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(staging_module, "write_atomic", fail)
        with pytest.raises(DiskFullError):
            make(store, IDENTITY, files=WORKED)
    with store.lease("vocab", IDENTITY.input_id) as lease:
        folder = store.staging(lease).folder
    assert (folder / "scratch/rows").read_bytes() == WORKED["scratch/rows"]


@pytest.mark.parametrize("name", ["MANIFEST.json", "deep/x.part"])
def test_names_of_the_store_are_refused(store: Store, name: str) -> None:
    with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
        write_files(staging.folder, {"a": b"1", name: b""})
        with pytest.raises(ArtifactError, match="keeps for itself"):
            committed(staging)


def test_a_link_is_refused(store: Store) -> None:
    with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
        (staging.folder / "latest").symlink_to("/etc/hostname")
        with pytest.raises(ArtifactError, match="no plain file"):
            committed(staging)


def test_nothing_is_no_result(store: Store) -> None:
    with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
        (staging.folder / "empty").mkdir()
        with pytest.raises(ArtifactError, match="wrote nothing"):
            committed(staging)


def lose_the_race(
    monkeypatch: pytest.MonkeyPatch, store: Store, winner: bytes, *, damaged: bool = False
) -> None:
    """Another process commits `winner` between this one's last check and its rename."""
    publish = publish_folder
    elsewhere = new_store(store.workspace.path / "state")
    first = make(elsewhere, IDENTITY, files={"a": winner})
    if damaged:
        flip_bit(first.file("a"))

    def late(
        lookup: Lookup, folder: Path, manifest: Manifest, inputs: Mapping[str, ArtifactRef]
    ) -> Artifact:
        final = lookup.workspace.path / first.ref.path
        final.parent.mkdir()
        first.path.rename(final)
        return publish(lookup, folder, manifest, inputs)

    monkeypatch.setattr(staging_module, "publish_folder", late)


@pytest.mark.parametrize("damaged", [False, True])
def test_the_loser_of_a_race_adopts_an_equal_winner_unless_it_is_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    lose_the_race(monkeypatch, store, b"same", damaged=damaged)
    artifact = make(store, IDENTITY, files={"a": b"same"})
    assert artifact.file("a").read_bytes() == b"same"
    assert store.find(IDENTITY, {}) == artifact
    assert not list(store.workspace.staging.glob("*/*"))
    assert len(list(store.workspace.quarantine.glob("vocab/*.json"))) == damaged


def test_another_result_of_the_same_request_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_race(monkeypatch, store, b"theirs")
    with pytest.raises(NondeterminismError, match=r"another a \(1 files differ\)"):
        make(store, IDENTITY, files={"a": b"mine"})
    found = store.find(IDENTITY, {})
    assert found
    assert found.file("a").read_bytes() == b"theirs"
    (kept,) = store.workspace.staging.glob("vocab/*/*/a")
    assert kept.read_bytes() == b"mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_in_a_stage_is_named_and_resumable(store: Store) -> None:
    with pytest.raises(DiskFullError, match="staging/vocab") as caught:
        work_until_it_fails(store, lambda: Path("/dev/full").write_bytes(b"x"))
    assert "bytes are free" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert list(store.workspace.staging.glob("vocab/*/*/done/shard"))
    assert store.find(IDENTITY, {}) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_at_the_manifest_commits_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(staging_module, "write_atomic", fail)
    with pytest.raises(DiskFullError):
        make(store, IDENTITY)
    monkeypatch.undo()
    assert store.find(IDENTITY, {}) is None
    assert make(store, IDENTITY)


def test_a_file_that_the_disk_lost_is_discarded_not_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        if path.name == "a.txt":
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(staging_module, "fsync_file", fail)
    with pytest.raises(ArtifactError, match=r"a\.txt: the disk lost it"):
        make(store, IDENTITY)
    monkeypatch.undo()
    with store.lease("vocab", IDENTITY.input_id) as lease:
        left = store.staging(lease).folder
        assert not (left / "a.txt").exists()
        assert (left / "deep/er/b.bin").exists()


def test_surroundings_are_recorded_and_change_nothing(tmp_path: Path) -> None:
    first = make(new_store(tmp_path / "1"), IDENTITY)
    information = first.manifest.information
    assert information["metrics"] == {"size": 1.5}
    assert information["libraries"]["numpy"]
    assert information["created_at"].endswith("+00:00")
    assert make(new_store(tmp_path / "2"), IDENTITY).ref == first.ref
