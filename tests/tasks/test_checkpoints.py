from pathlib import Path

import pytest

from tasks.checkpoints import checkpoint_steps, newest_checkpoint, write_checkpoint


def write(folder: Path, step: int) -> Path:
    def write_files(partial: Path) -> None:
        (partial / "weights").write_text(f"weights of {step}")
        (partial / "inner").mkdir()
        (partial / "inner" / "state").write_text(str(step))

    return write_checkpoint(folder, step, write_files)


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
    assert not newest.exists()


def test_older_damage_does_not_stay_either(tmp_path: Path) -> None:
    older = write(tmp_path, 5)
    write(tmp_path, 10)
    (older / "stranger").write_text("")
    assert newest_step(tmp_path) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


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
