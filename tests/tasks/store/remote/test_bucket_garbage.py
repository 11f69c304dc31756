"""Garbage collection of a bucket takes what nothing refers to, when it is old, and nothing else."""

import time

import pytest

from tasks.store.artifact import Artifact
from tasks.store.run_records import begun
from tasks.store.store import Store
from tests.bucket_fixtures import Shared
from tests.tasks.store.making import FILES, identity_of, make

IDENTITY = identity_of(k=1)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day has passed since everything was written."""
    now_s = time.time() + 90_000
    monkeypatch.setattr("tasks.store.remote.garbage.time.time", lambda: now_s)


def collected(store: Store, *, dry_run: bool = False) -> list[str]:
    found = store.collect_garbage(dry_run=dry_run, older_than_days=1)
    prefix = f"{store.workspace.location}/"
    return [str(place).removeprefix(prefix) for place, _ in found]


def recorded(store: Store, *artifacts: Artifact) -> None:
    refs = {each.ref.stage: each.ref.model_dump() for each in artifacts}
    store.workspace.write_run("kept", {"run_id": "kept", "artifacts": refs})


def abandoned(shared: Shared) -> str:
    """An attempt that sent its files and never committed; where they lie."""
    from tasks.store.remote.transfers import send

    store = shared.open("gone")
    identity = identity_of(k=2)
    with store.lease("vocab", identity.input_id) as lease:
        staging = store.staging(lease)
        (staging.folder / "a").write_bytes(b"half")
        from tasks.store.staging import _seal

        assert store.workspace.bucket
        files = _seal(staging.folder)
        send(store.workspace.bucket, "vocab", identity.input_id, staging.folder, files)
    return f"artifacts/vocab/{identity.input_id}"


def test_what_is_young_or_needed_stays(shared: Shared) -> None:
    store = shared.open("one")
    recorded(store, make(store, IDENTITY))
    make(store, identity_of(k=3))
    abandoned(shared)
    before = shared.names()
    assert collected(store) == []
    assert shared.names() == before


@pytest.mark.usefixtures("later")
def test_what_nobody_needs_goes_when_it_is_asked_for(shared: Shared) -> None:
    store = shared.open("one")
    kept, gone = make(store, IDENTITY), make(store, identity_of(k=3))
    recorded(store, kept)
    store.workspace.bucket.objects.put(
        f"{kept.ref.path}/data/{'0' * 64}/stray", b"of another attempt"
    )
    stray = f"{kept.ref.path}/data/(not in the manifest)"
    expected = {abandoned(shared), gone.ref.path, stray, str(gone.path)}
    assert set(collected(store, dry_run=True)) == expected
    assert set(collected(store)) == expected
    committed = [key for key in shared.names("artifacts/") if key.startswith(kept.ref.path)]
    assert shared.names("artifacts/") == committed
    assert len(committed) == len(FILES) + 1
    assert not gone.path.exists()
    assert kept.path.exists()
    assert collected(store) == []
    assert store.verify_all() == []


@pytest.mark.usefixtures("later")
def test_while_anybody_works_no_artifact_is_garbage(shared: Shared) -> None:
    store, other = shared.open("one"), shared.open("two")
    unneeded = make(store, IDENTITY)
    left = abandoned(shared)
    with other.lease("tune", "0" * 32):
        assert collected(store, dry_run=True) == [left]
    with other.lease("vocab", IDENTITY.input_id):
        assert unneeded.ref.path not in collected(store)
    assert collected(store, dry_run=True) == [unneeded.ref.path, str(unneeded.path)]


def test_a_run_of_another_machine_is_work_while_it_is_young(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shared.open("one")
    made = make(store, IDENTITY)
    record = begun("elsewhere", "pipeline")
    record["owner"] |= {"machine": "elsewhere/boot/pid"}
    store.workspace.write_run("elsewhere", record)
    from tasks.store.remote.garbage import _is_busy

    lookup = store._lookup
    assert _is_busy(lookup, time.time() - 60)
    assert not _is_busy(lookup, time.time() + 60)
    assert store.has(made.ref)


@pytest.mark.usefixtures("later")
def test_uploads_that_broke_off_are_dropped(shared: Shared) -> None:
    store = shared.open("one")
    key = "deep/ws/artifacts/vocab/x/data/0/large"
    shared.client.create_multipart_upload(Bucket=shared.bucket, Key=key)
    assert collected(store) == ["artifacts/vocab/x/data/0/large (unfinished)"]
    assert list(shared.objects.unfinished()) == []


@pytest.mark.usefixtures("later")
def test_old_work_of_this_machine_goes_too(shared: Shared) -> None:
    store = shared.open("one")
    with store.lease("vocab", IDENTITY.input_id) as lease:
        folder = store.staging(lease).folder
        (folder / "half").touch()
    assert collected(store) == [str(folder)]
    assert not folder.exists()
    assert not folder.parent.exists()
