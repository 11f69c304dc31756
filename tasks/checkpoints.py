"""Training checkpoints on disk: complete or absent, and resumed from the newest that verifies.

A checkpoint is a folder ``step-00000200`` with whatever the stage writes and, last, its own
``checksums.json``. It is written under another name and renamed when it is whole, so a folder of
the right name that does not verify was damaged later and is never resumed from.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKSUMS = "checksums.json"
_STEP_FOLDER = re.compile(r"step-(\d{8,})")


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


def write_checkpoint(folder: Path, step: int, write_files: Callable[[Path], None]) -> Path:
    """Write one checkpoint below `folder`, whole or not at all, and return its folder.

    Args:
        folder: usually ``checkpoints`` in the stage's output; made if absent.
        step: optimizer updates done so far.
        write_files: writes the checkpoint's files into the empty folder it is handed.
    """
    final = folder / f"step-{step:08d}"
    partial = folder / f".writing-{final.name}"
    for stale in (partial, final):
        shutil.rmtree(stale, ignore_errors=True)
    partial.mkdir(parents=True)
    write_files(partial)
    (partial / CHECKSUMS).write_text(json.dumps(_checksums(partial), indent=1, sort_keys=True))
    _flush(partial)
    partial.rename(final)
    _flush_entry(folder)
    return final


def newest_checkpoint(folder: Path, *, on_damaged: Callable[[Path], None]) -> Checkpoint | None:
    """The checkpoint of the highest step whose files match their checksums, if there is one.

    Leftovers of an interrupted write are removed, and so are damaged checkpoints, after
    `on_damaged` was told; what is left below `folder` afterwards is whole.
    Cost: reads every checkpoint once.
    """
    for leftover in folder.glob(".writing-step-*"):
        shutil.rmtree(leftover)
    whole = []
    for checkpoint in _found(folder):
        if _is_whole(checkpoint.folder):
            whole.append(checkpoint)
        else:
            on_damaged(checkpoint.folder)
            shutil.rmtree(checkpoint.folder)
    return max(whole, key=lambda found: found.step, default=None)


def _found(folder: Path) -> Iterator[Checkpoint]:
    for path in sorted(folder.glob("step-*")):
        match = _STEP_FOLDER.fullmatch(path.name)
        if match and path.is_dir():
            yield Checkpoint(int(match.group(1)), path)


def _is_whole(folder: Path) -> bool:
    try:
        recorded = json.loads((folder / CHECKSUMS).read_text())
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
    for path in folder.rglob("*"):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
