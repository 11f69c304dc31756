"""Checkpoints of work in progress travel through the bucket, so that another machine goes on."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.checkpoints import keep_scheduled, newest_checkpoint, write_checkpoint
from tasks.store.store import Store
from tests.bucket_fixtures import Shared
from tests.tasks.store.making import identity_of

IDENTITY = identity_of("pretrain")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.store.remote.checkpoints.LOOK_S", 0.05)


def write(folder: Path, step: int, *, scheduled: bool = True) -> None:
    write_checkpoint(
        folder / "checkpoints",
        step,
        lambda place: (place / "state").write_text(f"at {step}"),
        scheduled=scheduled,
    )


def resume(folder: Path) -> int:
    """The step a stage would go on from."""
    found = newest_checkpoint(folder / "checkpoints", on_damaged=lambda _: None)
    return found.step if found else 0


def broken_off(store: Store, train: Callable[[Path], object]) -> None:
    """A training that fails at its end."""

    def attempt() -> None:
        with store.lease("pretrain", IDENTITY.input_id) as lease, store.staging(lease) as staging:
            train(staging.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt()


def finished(store: Store, steps: list[int]) -> tuple[int, list[str]]:
    """Train on to the end; where it began, and what the artifact holds."""
    with store.lease("pretrain", IDENTITY.input_id) as lease, store.staging(lease) as staging:
        begun = resume(staging.folder)
        for step in steps:
            write(staging.folder, step)
        keep_scheduled(staging.folder / "checkpoints", on_damaged=lambda _: None)
        artifact = staging.commit(IDENTITY, {}, {})
        return begun, [file.name for file in artifact.manifest.files]


def test_another_machine_goes_on_from_the_newest_and_the_result_is_the_same(
    shared: Shared, tmp_path: Path
) -> None:
    def train(folder: Path) -> None:
        for step in (100, 200):
            write(folder, step)
        write(folder, 250, scheduled=False)

    broken_off(shared.open("one"), train)
    assert len(shared.names("checkpoints/pretrain/")) == 3
    begun, names = finished(shared.open("two"), [300])
    assert begun == 250
    assert names == [
        f"checkpoints/step-00000{step}/{name}"
        for step in (100, 200, 300)
        for name in ("checksums.json", "state")
    ]
    assert shared.names("checkpoints/") == []
    assert len(shared.names("artifacts/")) == 1 + 6, "what the clock left is gone"
    assert shared.open("three").verify_all() == []
    assert shared.warnings == []


def test_each_is_there_as_soon_as_it_is_finished_and_gone_when_it_is_dropped(
    shared: Shared,
) -> None:
    def seen() -> tuple[list[str], set[str]]:
        records = [key.rpartition("/")[2] for key in shared.names("checkpoints/")]
        return records, {key.split("/")[6] for key in shared.names("artifacts/")}

    def wait_for(*steps: int) -> None:
        names = [f"step-{step:08d}" for step in steps]
        deadline_s = time.monotonic() + 20
        while seen() != ([f"{name}.json" for name in names], set(names)):
            assert time.monotonic() < deadline_s, seen()
            time.sleep(0.02)

    def train(folder: Path) -> None:
        write(folder, 10)
        wait_for(10)
        for step in (12, 14):
            write(folder, step, scheduled=False)
        wait_for(10, 12, 14)
        write(folder, 16, scheduled=False)
        wait_for(10, 14, 16)

    broken_off(shared.open("one"), train)


@pytest.mark.parametrize("damage", ["content", "gone", "record"])
def test_a_broken_one_is_passed_over_and_made_again(shared: Shared, damage: str) -> None:
    broken_off(shared.open("one"), lambda folder: [write(folder, step) for step in (100, 200)])
    record = f"checkpoints/pretrain/{IDENTITY.input_id}/step-00000200.json"
    [state] = [key for key in shared.names("artifacts/") if key.endswith("00200/state")]
    if damage == "content":
        shared.overwrite(state, b"at 999")
    elif damage == "gone":
        shared.objects.delete([state])
    else:
        shared.overwrite(record, b"{")
    two = shared.open("two")
    begun, names = finished(two, [200, 300])
    assert begun == 100
    assert len(names) == 6
    assert two.verify_all() == []
    assert len(shared.warnings) == (damage != "record")
    if shared.warnings:
        assert "step-00000200 is damaged in the bucket (checkpoints/" in shared.warnings[0]


def test_a_machine_that_comes_back_takes_what_others_did(shared: Shared) -> None:
    broken_off(shared.open("one"), lambda folder: write(folder, 100))
    broken_off(shared.open("two"), lambda folder: write(folder, 200))
    begun, names = finished(shared.open("one"), [300])
    assert begun == 200
    assert len(names) == 6


def test_a_server_that_is_away_does_not_end_the_training(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.store.errors import StorageError
    from tasks.store.remote.s3_objects import S3Objects

    def fail(*_: object) -> None:
        raise StorageError("s3://x: cannot be reached")

    def train(folder: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(S3Objects, "upload", fail)
            write(folder, 100)
            deadline_s = time.monotonic() + 20
            while not shared.warnings and time.monotonic() < deadline_s:
                time.sleep(0.02)

    broken_off(shared.open("one"), train)
    assert shared.warnings == [
        "pretrain: a checkpoint is not in the bucket yet: s3://x: cannot be reached"
    ]
    [key] = shared.names("checkpoints/")
    assert json.loads(shared.objects.read(key).raw)["files"]
