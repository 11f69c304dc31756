from pathlib import Path

import pytest

from tasks.checkpoints import (
    checkpoint_steps,
    keep_scheduled,
    newest_checkpoint,
    write_checkpoint,
)


def write(folder: Path, step: int, *, scheduled: bool = True) -> Path:
    def write_files(partial: Path) -> None:
        (partial / "weights").write_text(f"weights of {step}")
        (partial / "inner").mkdir()
        (partial / "inner" / "state").write_text(str(step))

    return write_checkpoint(folder, step, write_files, scheduled=scheduled)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def newest_step(folder: Path, damaged: list[str] | None = None) -> int | None:
    heard = [] if damaged is None else damaged
    found = newest_checkpoint(folder, on_damaged=lambda path: heard.append(path.name))
    return found.step if found else None


@pytest.mark.parametrize(
    ("max_steps", "num_checkpoints", "expected"),
    [(800, 4, [200, 400, 600, 800]), (10, 4, [3, 5, 8, 10]), (2, 4, [1, 2]), (1, 4, [1])],
)
def test_steps_are_spread_and_end_with_the_last(
    max_steps: int, num_checkpoints: int, expected: list[int]
) -> None:
    assert checkpoint_steps(max_steps, num_checkpoints) == expected


def test_newest_is_by_number_not_by_name(tmp_path: Path) -> None:
    for step in (5, 123456789, 20):
        write(tmp_path, step)
    assert newest_step(tmp_path) == 123456789


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    (tmp_path / "old-step-00000900").mkdir()
    (tmp_path / "step-9").mkdir()
    assert newest_step(tmp_path) is None
    assert newest_step(tmp_path / "absent") is None


def change(path: Path) -> None:
    path.write_text("other")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("file", ["weights", "inner/state", "checksums.json"])
@pytest.mark.parametrize("damage", [change, remove])
def test_damage_is_noticed_and_the_one_before_is_taken(
    tmp_path: Path, file: str, damage: object
) -> None:
    write(tmp_path, 5)
    newest = write(tmp_path, 10)
    assert callable(damage)
    damage(newest / file)
    heard: list[str] = []
    assert newest_step(tmp_path, heard) == 5
    assert heard == ["step-00000010"]
    assert names(tmp_path) == ["broken-step-00000010", "step-00000005"]


def test_damaged_ones_stay_until_one_at_least_as_far_is_whole(tmp_path: Path) -> None:
    write(tmp_path, 5)
    for step in (10, 15):
        change(write(tmp_path, step) / "weights")
    assert newest_step(tmp_path) == 5
    write(tmp_path, 10)
    assert names(tmp_path) == ["broken-step-00000015", "step-00000005", "step-00000010"]
    write(tmp_path, 20)
    assert names(tmp_path) == ["step-00000005", "step-00000010", "step-00000020"]


def test_all_damaged_is_like_none(tmp_path: Path) -> None:
    for step in (5, 10):
        change(write(tmp_path, step) / "weights")
    heard: list[str] = []
    assert newest_step(tmp_path, heard) is None
    assert heard == ["step-00000010", "step-00000005"]
    assert names(tmp_path) == ["broken-step-00000005", "broken-step-00000010"]


def test_only_the_newest_is_read(tmp_path: Path) -> None:
    """However many there are; damage of the others is said at the end."""
    older = write(tmp_path, 5)
    write(tmp_path, 10)
    (older / "stranger").write_text("")
    heard: list[str] = []
    assert newest_step(tmp_path, heard) == 10
    assert not heard
    keep_scheduled(tmp_path, on_damaged=lambda path: heard.append(path.name))
    assert heard == ["step-00000005"]
    assert names(tmp_path) == ["step-00000010"]


def test_the_newest_two_that_are_not_scheduled_are_kept(tmp_path: Path) -> None:
    for step in range(1, 8):
        write(tmp_path, step, scheduled=step in (2, 6))
    assert names(tmp_path) == [f"step-{step:08d}" for step in (2, 5, 6, 7)]
    assert newest_step(tmp_path) == 7


def test_going_back_is_to_a_scheduled_one(tmp_path: Path) -> None:
    """What lay further goes with the next that is written, not before."""
    for step in (2, 3, 4):
        write(tmp_path, step, scheduled=step == 2)
    found = newest_checkpoint(tmp_path, on_damaged=change, scheduled_only=True)
    assert found
    assert found.step == 2
    assert len(names(tmp_path)) == 3
    write(tmp_path, 3, scheduled=False)
    assert names(tmp_path) == ["step-00000002", "step-00000003"]


def test_the_result_holds_the_scheduled_only(tmp_path: Path) -> None:
    for step in (2, 3, 4, 5):
        write(tmp_path, step, scheduled=step in (2, 4))
    change(tmp_path / "step-00000005" / "weights")
    newest_step(tmp_path)
    heard: list[str] = []
    keep_scheduled(tmp_path, on_damaged=lambda path: heard.append(path.name))
    assert not heard
    assert names(tmp_path) == ["step-00000002", "step-00000004"]


def test_one_that_becomes_scheduled_stays(tmp_path: Path) -> None:
    write(tmp_path, 5, scheduled=False)
    write(tmp_path, 5)
    keep_scheduled(tmp_path, on_damaged=lambda path: None)
    assert names(tmp_path) == ["step-00000005"]


def test_an_interrupted_write_leaves_nothing_that_counts(tmp_path: Path) -> None:
    write(tmp_path, 5)

    def break_off(partial: Path) -> None:
        (partial / "weights").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path, 10, break_off)
    assert newest_step(tmp_path) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_a_step_can_be_written_again(tmp_path: Path) -> None:
    first = write(tmp_path, 5)
    (first / "stranger").write_text("")
    write(tmp_path, 5)
    assert not (first / "stranger").exists()
    assert newest_step(tmp_path) == 5
