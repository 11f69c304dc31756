"""Training checkpoints on disk: complete or absent, and resumed from the newest that verifies.

A checkpoint is a folder ``step-00000200`` with whatever the stage writes and, last, its own
``checksums.json``. It is written under another name and renamed when it is whole, so a folder of
the right name that does not verify was damaged later and is never resumed from. It is set aside
as ``broken-step-00000200`` until a whole one has been written that is at least as far.

Scheduled checkpoints belong to the result. The others, left by the clock or by a stop, carry a
file that says so, and only the newest of them are kept.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.json_files import parse_json
from tasks.store.atomic import fsync_file, fsync_folder, make_folder

CHECKSUMS = "checksums.json"
UNSCHEDULED = "unscheduled"
NUM_UNSCHEDULED = 2  # kept: the newest, and one more should it not verify
_STEP_FOLDER = re.compile(r"step-(\d{8,})")
_BROKEN = "broken-"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files were all present and unchanged when it was found."""

    step: int
    folder: Path


def checkpoint_steps(max_steps: int, num_checkpoints: int) -> list[int]:
    """The steps after which to write a checkpoint: evenly spread, the last step always among them.

    Fewer than `num_checkpoints` only where there are fewer steps.
    """
    shares = range(1, num_checkpoints + 1)
    return sorted({-(-max_steps * share // num_checkpoints) for share in shares})


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where below `folder` the checkpoint of that step is."""
    return folder / f"step-{step:08d}"


def write_checkpoint(
    folder: Path, step: int, write_files: Callable[[Path], None], *, scheduled: bool = True
) -> Path:
    """Write one checkpoint below `folder`, whole or not at all, and return its folder.

    Then drops what it makes superfluous: damaged ones that are not further, and of those that are
    not scheduled those that are further (the run has gone back since) and all but the newest two.

    Args:
        folder: usually ``checkpoints`` in the stage's output; made if absent.
        step: optimizer updates done so far.
        write_files: writes the checkpoint's files into the empty folder it is handed.
        scheduled: whether it is to be part of the result.
    """
    final = checkpoint_folder(folder, step)
    partial = folder / f".writing-{final.name}"
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(folder)
    partial.mkdir()
    write_files(partial)
    if not scheduled:
        (partial / UNSCHEDULED).touch()
    (partial / CHECKSUMS).write_text(json.dumps(_checksums(partial), indent=1, sort_keys=True))
    _flush(partial)
    if final.exists():
        _drop(final)
    partial.rename(final)
    fsync_folder(folder)
    _drop_superfluous(folder, step)
    return final


def newest_checkpoint(
    folder: Path, *, on_damaged: Callable[[Path], None], scheduled_only: bool = False
) -> Checkpoint | None:
    """The checkpoint of the highest step whose files match their checksums, if there is one.

    Damaged ones on the way to it are renamed to ``broken-step-…`` after `on_damaged` was told of
    their folder. Leftovers of an interrupted write are removed.
    Cost: reads the newest checkpoint and those that are damaged, no others.
    """
    for leftover in (*folder.glob(".writing-step-*"), *folder.glob(".dropped-step-*")):
        shutil.rmtree(leftover)
    for checkpoint in reversed(_found(folder)):
        if scheduled_only and _is_unscheduled(checkpoint.folder):
            continue
        if _is_whole(checkpoint.folder):
            return checkpoint
        on_damaged(checkpoint.folder)
        _set_aside(checkpoint.folder)
    return None


def keep_scheduled(folder: Path, *, on_damaged: Callable[[Path], None]) -> None:
    """Leave the scheduled checkpoints that are whole, after `on_damaged` was told of any other.

    What remains is what an unbroken run would have left.
    Cost: reads every scheduled checkpoint once.
    """
    for checkpoint in _found(folder):
        if _is_unscheduled(checkpoint.folder):
            _drop(checkpoint.folder)
        elif not _is_whole(checkpoint.folder):
            on_damaged(checkpoint.folder)
            _drop(checkpoint.folder)
    for broken in folder.glob(f"{_BROKEN}step-*"):
        shutil.rmtree(broken)


def _found(folder: Path) -> list[Checkpoint]:
    """All checkpoints, whole or damaged, by step."""
    return sorted(_steps(folder, prefix=""), key=lambda found: found.step)


def _steps(folder: Path, prefix: str) -> Iterator[Checkpoint]:
    for path in folder.glob(f"{prefix}step-*"):
        match = _STEP_FOLDER.fullmatch(path.name.removeprefix(prefix))
        if match and path.is_dir():
            yield Checkpoint(int(match.group(1)), path)


def _set_aside(folder: Path) -> None:
    broken = folder.with_name(_BROKEN + folder.name)
    shutil.rmtree(broken, ignore_errors=True)  # there is one only where someone put it
    folder.rename(broken)
    fsync_folder(broken.parent)


def _drop_superfluous(folder: Path, whole_step: int) -> None:
    """Only after a whole checkpoint of `whole_step` is on disk."""
    for broken in list(_steps(folder, _BROKEN)):
        if broken.step <= whole_step:
            shutil.rmtree(broken.folder)
    unscheduled = [found for found in _found(folder) if _is_unscheduled(found.folder)]
    ahead = [found for found in unscheduled if found.step > whole_step]
    others = unscheduled[: len(unscheduled) - len(ahead)]
    for checkpoint in (*others[:-NUM_UNSCHEDULED], *ahead):
        _drop(checkpoint.folder)


def _drop(folder: Path) -> None:
    """Renames first: a removal that is interrupted must not leave what looks like damage."""
    dropped = folder.with_name(f".dropped-{folder.name}")
    shutil.rmtree(dropped, ignore_errors=True)
    folder.rename(dropped)
    shutil.rmtree(dropped)


def _is_unscheduled(folder: Path) -> bool:
    return (folder / UNSCHEDULED).exists()


def _is_whole(folder: Path) -> bool:
    try:
        recorded = parse_json((folder / CHECKSUMS).read_text())
    except (OSError, ValueError):
        return False
    return bool(recorded) and recorded == _checksums(folder)


def _checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / CHECKSUMS
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    """Force files and folders to disk before the rename makes them count."""
    for path in (*folder.rglob("*"), folder):
        fsync = fsync_folder if path.is_dir() else fsync_file
        fsync(path)
