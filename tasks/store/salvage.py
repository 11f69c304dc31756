"""Takes over what is whole of an artifact that was set aside: only the rest is made again."""

import contextlib
import errno
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from model.errors import ArtifactError
from tasks.store.artifact import ArtifactRef
from tasks.store.atomic import make_folder
from tasks.store.disk import says_disk_is_full
from tasks.store.erased import ERASED_NAME
from tasks.store.hashing import of_each, sha256_of
from tasks.store.lookup import stale_inputs
from tasks.store.manifest import MANIFEST_NAME, FileEntry, Manifest, read_manifest

_STEP = re.compile(r"checkpoints/step-(\d+)/")


def salvage(
    quarantine: Path,
    input_id: str,
    inputs: Mapping[str, ArtifactRef],
    folder: Path,
    wanted: Sequence[str],
) -> int:
    """Move the whole files of a request's damaged artifacts into its staging folder; how many.

    It moves what is not there yet, so the next call goes on where one was killed. What is damaged,
    cannot be read or is another user's stays in quarantine. Reads every wanted file once.

    Args:
        quarantine: of the request's stage.
        input_id: of the request.
        inputs: from which it is to be made; what was made from others stays.
        folder: where the stage is to work.
        wanted: names or patterns of what the stage goes on from, at the top of the artifact.

    Raises:
        OSError: the disk is full, or its file system can only be read.
    """
    num_moved = 0
    for place in _newest_first(quarantine, input_id) if wanted else []:
        with _passing_over():  # garbage collection may be at it
            manifest = _manifest_of(place, input_id)
            if not manifest or stale_inputs(manifest, inputs) or (place / ERASED_NAME).exists():
                continue
            for name in _to_move(place, folder, _wanted(manifest.files, wanted)):
                make_folder((folder / name).parent)
                (place / name).rename(folder / name)
                num_moved += 1
    return num_moved


@contextlib.contextmanager
def _passing_over() -> Iterator[None]:
    """Go on without what the disk refuses, unless the work to come would fail for the same."""
    try:
        yield
    except OSError as error:
        if says_disk_is_full(error) or error.errno == errno.EROFS:
            raise


def _newest_first(quarantine: Path, input_id: str) -> list[Path]:
    """Where artifacts of a request lie, the one that was made last before the others."""
    made_at: dict[Path, int] = {}
    with _passing_over():
        for place in quarantine.glob(f"{input_id}-*"):
            with contextlib.suppress(OSError):
                made_at[place] = (place / MANIFEST_NAME).stat().st_mtime_ns
    return sorted(made_at, key=made_at.__getitem__, reverse=True)


def _manifest_of(place: Path, input_id: str) -> Manifest | None:
    with contextlib.suppress(ArtifactError):
        manifest = read_manifest(place)
        if manifest.identity.input_id == input_id:
            return manifest
    return None


def _to_move(place: Path, folder: Path, files: Sequence[FileEntry]) -> list[str]:
    """The names of the whole files that are not in the folder, without later checkpoints.

    Training goes on from the last checkpoint. A damaged one is written again only on the way, so
    it stays behind, and with it all that came later.
    """
    names = [entry.name for entry in files]
    paths = [(folder if os.path.lexists(folder / name) else place) / name for name in names]
    found = list(zip(files, paths, of_each(_digest, paths), strict=True))
    lost = [_step(entry.name) for entry, _, digest in found if digest != entry.sha256]
    end = min((step for step in lost if step >= 0), default=math.inf)
    return [
        entry.name
        for entry, path, digest in found
        if digest == entry.sha256 and path.is_relative_to(place) and _step(entry.name) < end
    ]


def _wanted(files: Sequence[FileEntry], wanted: Sequence[str]) -> list[FileEntry]:
    tops = [(entry, entry.name.split("/")[0]) for entry in files]
    return [entry for entry, top in tops if any(fnmatchcase(top, each) for each in wanted)]


def _step(name: str) -> int:
    """The step of the checkpoint that a file belongs to; -1 for a file of none."""
    match = _STEP.match(name)
    return int(match[1]) if match else -1


def _digest(path: Path) -> str | None:
    """None where the disk does not give it back, or it is not ours to be written to."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            return sha256_of(path)
    return None
