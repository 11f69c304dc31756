"""A staging folder: where a stage works, resumable after a crash, until its result is committed.

What a stage needs only while it works lies in the folder's own folder ``scratch``. It goes when
the rest is sealed under its manifest, and so is there for the next attempt until nothing is left
to do but to publish.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from model.errors import ArtifactError
from tasks.store.artifact import Artifact, ArtifactRef, artifact_from
from tasks.store.atomic import PART_SUFFIX, fsync_file, fsync_folder, make_folder, write_atomic
from tasks.store.canonical import plain_json
from tasks.store.disk import disk_full, explaining_full_disk, says_disk_is_full
from tasks.store.erased import ERASED_NAME
from tasks.store.errors import DiskFullError, FormatError, UnreadableError
from tasks.store.hashing import of_each, sha256_of, walk, walk_folders
from tasks.store.identity import Identity
from tasks.store.lease import Lease
from tasks.store.lookup import Lookup, stale_inputs
from tasks.store.manifest import (
    MANIFEST_NAME,
    FileEntry,
    InputEntry,
    Manifest,
    read_manifest,
    render_manifest,
)
from tasks.store.publication import publish_folder, send_files
from tasks.store.salvage import salvage
from tasks.store.surroundings import describe_surroundings
from tasks.store.verification import flaws_of

if TYPE_CHECKING:
    from tasks.store.remote.checkpoints import CheckpointCourier

SCRATCH = "scratch"  # the folder of what is no part of the result


class Staging:
    """The folder of one attempt. As a context, it names what a full disk or a lost lease did.

    Attributes:
        folder: where the stage writes; it may hold what an earlier, dead attempt finished.
    """

    def __init__(
        self,
        lookup: Lookup,
        lease: Lease,
        inputs: Mapping[str, ArtifactRef],
        goes_on_from: Sequence[str],
    ) -> None:
        """Args:
        lookup: of the workspace.
        lease: on the request.
        inputs: of the request.
        goes_on_from: what the stage uses of an artifact of the request that was set aside.
        """
        self._lookup = lookup
        self._lease = lease
        self.folder = _attempts(lookup, lease) / lease.attempt_id
        with explaining_full_disk(self.folder):
            _open_folder(self.folder, copy=lease.cut_off)
            if lookup.workspace.bucket is None:
                self._take_over(inputs, goes_on_from)
        self._courier = _courier(lookup, lease, self.folder)
        if self._courier:
            self._courier.fetch()

    def __enter__(self) -> Self:
        if self._courier:
            self._courier.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._courier:
            self._courier.stop(last_look=error is not None)
        if isinstance(error, DiskFullError):
            return
        if isinstance(error, Exception) and says_disk_is_full(error):
            raise disk_full(self.folder) from error
        if isinstance(error, Exception) and not self.folder.exists():
            self._lease.check()  # whoever took over has moved it away, whatever that looks like

    def _take_over(self, inputs: Mapping[str, ArtifactRef], names: Sequence[str]) -> None:
        stage = self._lease.stage
        quarantine = self._lookup.workspace.quarantine / stage
        if num := salvage(quarantine, self._lease.input_id, inputs, self.folder, names):
            for name, status in list(walk(self.folder)):
                _reclaim(self.folder / name, status, copy=False)
            self._lookup.warn(f"{stage}: goes on from {num} undamaged files of what was set aside")

    def commit(
        self,
        identity: Identity,
        inputs: Mapping[str, ArtifactRef],
        information: Mapping[str, Any],
    ) -> Artifact:
        """Make the folder's content the committed answer to the request, durably and at once.

        Reads every byte back from the disk, on several threads. ``scratch`` is removed.

        Args:
            identity: the request this staging folder's lease is for.
            inputs: the upstream artifacts that were read, by stage.
            information: about the run, JSON values; recorded with time, host and library
                versions, never hashed.

        Raises:
            NondeterminismError: another result of the same request was committed first.
            LeaseLostError: another process has taken the work over.
            DiskFullError: no room for the manifest; the folder stays.
            StorageError: the bucket cannot be reached; the folder and what was sent stay.
            ArtifactError: the folder holds nothing, or something that no artifact may hold.
        """
        assert (identity.stage, identity.input_id) == (self._lease.stage, self._lease.input_id)
        with explaining_full_disk(self.folder):
            self._lease.check()
            if self._courier:
                self._courier.stop(last_look=False)
            manifest = Manifest(
                identity=identity,
                inputs={name: _entry(ref) for name, ref in inputs.items()},
                files=_seal(self.folder),
                information=describe_surroundings() | plain_json(information, "information"),
            )
            write_atomic(self.folder / MANIFEST_NAME, render_manifest(manifest))
            (self.folder / MANIFEST_NAME).chmod(0o444)
            _remove_scratch(self.folder)
            return _publish(self._lookup, self._lease, self.folder, manifest, inputs)


def finish(
    lookup: Lookup, lease: Lease, identity: Identity, inputs: Mapping[str, ArtifactRef]
) -> Artifact | None:
    """Publish what the newest earlier attempt had sealed when it died; None where it had not.

    Reads every byte of it. To be tried before the work is taken up again in a `Staging`, which
    opens what is sealed.

    Raises:
        NondeterminismError, LeaseLostError, StorageError, DiskFullError: as `Staging.commit` does.
        FormatError, UnreadableError: what was sealed may be whole, and is not begun anew.
    """
    earlier = _earlier(_attempts(lookup, lease))
    if lease.cut_off or not earlier or not (earlier[-1] / MANIFEST_NAME).exists():
        return None
    folder = earlier[-1]
    try:
        manifest = read_manifest(folder)
    except (FormatError, UnreadableError):
        raise
    except ArtifactError:
        return None
    if manifest.identity != identity or stale_inputs(manifest, inputs):
        return None
    with explaining_full_disk(folder):
        _remove_scratch(folder)
        if flaws_of(artifact_from(folder, manifest)):
            return None
        return _publish(lookup, lease, folder, manifest, inputs)


def _publish(
    lookup: Lookup,
    lease: Lease,
    folder: Path,
    manifest: Manifest,
    inputs: Mapping[str, ArtifactRef],
) -> Artifact:
    """Make a sealed folder the answer, and clear away what its making has left."""
    send_files(lookup, folder, manifest)
    lease.check()
    artifact = publish_folder(lookup, folder, manifest, inputs)
    _clear(folder.parent)
    courier = _courier(lookup, lease, folder)
    if courier:
        courier.clear(kept=artifact.manifest.files)
    return artifact


def _courier(lookup: Lookup, lease: Lease, folder: Path) -> "CheckpointCourier | None":
    """Who shares checkpoints with other machines, where the workspace is in a bucket."""
    if lookup.workspace.bucket is None:
        return None
    from tasks.store.remote.checkpoints import CheckpointCourier

    return CheckpointCourier(lookup.workspace.bucket, lease, folder, lookup.warn)


def _attempts(lookup: Lookup, lease: Lease) -> Path:
    return lookup.workspace.staging / lease.stage / lease.input_id


def _open_folder(folder: Path, *, copy: bool) -> None:
    """Make `folder`, from the newest earlier attempt's if there is one."""
    make_folder(folder.parent)
    earlier = _earlier(folder.parent)
    if not earlier:
        make_folder(folder)
        return
    earlier[-1].rename(folder)
    fsync_folder(folder.parent)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for name, status in list(walk(folder)):
        _reclaim(folder / name, status, copy=copy)


def _earlier(attempts: Path) -> list[Path]:
    """The folders of earlier attempts, the newest last."""
    if not attempts.is_dir():
        return []
    return sorted(path for path in attempts.iterdir() if path.is_dir())


def _reclaim(path: Path, status: os.stat_result, *, copy: bool) -> None:
    """Make an earlier attempt's file ours: writable, finished, and open in no other process."""
    if not stat.S_ISREG(status.st_mode) or path.name.endswith(PART_SUFFIX):
        path.unlink()
        return
    if copy:  # a holder that only paused may have it open, and would go on writing into it
        twin = path.with_name(f"{path.name}{PART_SUFFIX}")
        shutil.copyfile(path, twin)
        twin.replace(path)
    path.chmod(stat.S_IMODE(status.st_mode) | stat.S_IWUSR)


def _seal(folder: Path) -> tuple[FileEntry, ...]:
    """Sync and hash every file as it lies on the disk, and let nobody write to it any more."""
    found = dict(walk(folder))
    statuses = {name: found[name] for name in found if not name.startswith(f"{SCRATCH}/")}
    for name, status in statuses.items():
        _refuse_misfits(folder, name, status)
    if not statuses:
        raise ArtifactError(f"{folder}: the stage wrote nothing, there is nothing to commit")
    names = sorted(statuses)
    digests = of_each(_seal_file, [folder / name for name in names])
    for path in walk_folders(folder):
        if SCRATCH not in path.relative_to(folder).parts[:1]:
            fsync_folder(path)
    sizes = [(folder / name).stat().st_size for name in names]
    return tuple(
        FileEntry(name=name, bytes=size, sha256=digest)
        for name, size, digest in zip(names, sizes, digests, strict=True)
    )


def _remove_scratch(folder: Path) -> None:
    """For good: were it back after a power failure, the artifact would hold what it lists not."""
    scratch = folder / SCRATCH
    if scratch.is_dir():
        shutil.rmtree(scratch)
        fsync_folder(folder)


def _seal_file(path: Path) -> str:
    # Some libraries let nobody but the owner read; others read what the folder lets them see.
    readable = stat.S_IMODE(path.parent.stat().st_mode) & 0o444
    path.chmod((stat.S_IMODE(path.stat().st_mode) | readable) & ~0o222)
    try:
        fsync_file(path)
    except OSError as error:
        if error.errno == errno.EIO:  # a second fsync could claim success with the data lost
            path.unlink()
            raise ArtifactError(f"{path}: the disk lost it; run again to write it anew") from error
        raise
    return sha256_of(path)


def _refuse_misfits(folder: Path, name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(f"{folder / name} is no plain file; an artifact holds nothing else")
    if name in (MANIFEST_NAME, ERASED_NAME) or name.endswith(PART_SUFFIX):
        raise ArtifactError(f"{folder / name} has a name that the store keeps for itself")


def _entry(ref: ArtifactRef) -> InputEntry:
    return InputEntry(input_id=ref.input_id, content_id=ref.content_id)


def _clear(attempts: Path) -> None:
    """Remove what earlier attempts at a request left, now that it is answered."""
    with contextlib.suppress(OSError):  # of no harm: garbage collection comes later
        shutil.rmtree(attempts)
