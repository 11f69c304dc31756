"""Copies of artifacts on this machine: complete or absent, fetched when they are read from."""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.store.artifact import Artifact
from tasks.store.atomic import fsync_folder, write_atomic
from tasks.store.hashing import of_each, sha256_of, walk, walk_folders
from tasks.store.manifest import MANIFEST_NAME, FileEntry, render_manifest
from tasks.store.remote.bucket import Bucket
from tasks.store.remote.transfers import fetch
from tasks.store.verification import Memory, flaws_of


@dataclass(frozen=True)
class Mirror:
    """The local side of a workspace in a bucket. It is a cache: deleting it loses no artifact.

    Attributes:
        folder: laid out as a local workspace is.
        bucket: the truth.
        memory: what this process has verified in the folder.
    """

    folder: Path
    bucket: Bucket
    memory: Memory

    def complete(self, artifact: Artifact) -> list[str]:
        """Make the artifact's folder hold exactly what its manifest says, every byte verified.

        Costs a download of what is not there, once a machine, and a read of all of it, once a
        process. An interrupted download is gone on with.

        Returns:
            What is wrong with files in the bucket, one line each; then the folder is not there.

        Raises:
            StorageError: the server cannot be reached.
            DiskFullError: there is no room for the copy.
        """
        if self._is_whole(artifact):
            return []
        with self._alone(artifact):
            if self._is_whole(artifact):  # another process or thread was at it
                return []
            folder = self._folder_to_fill(artifact)
            missing = _keep_only_whole(folder, artifact.manifest.files)
            ref = artifact.ref
            flaws = fetch(self.bucket, ref.stage, ref.input_id, folder, missing)
            if flaws:
                return sorted(flaws.values())
            write_atomic(folder / MANIFEST_NAME, render_manifest(artifact.manifest))
            for path in walk_folders(folder):
                fsync_folder(path)
            self._put(folder, artifact.path)
        return []

    def adopt(self, folder: Path, artifact: Artifact) -> None:
        """Make a folder that holds the artifact's files its copy here."""
        with self._alone(artifact):
            self._put(folder, artifact.path)

    def _is_whole(self, artifact: Artifact) -> bool:
        return artifact.path.is_dir() and not flaws_of(artifact, self.memory)

    def _folder_to_fill(self, artifact: Artifact) -> Path:
        """With what an interrupted download left, or what a damaged copy still has."""
        folder = self.folder / "staging" / ".fetched" / _name(artifact)
        if artifact.path.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            artifact.path.rename(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _put(self, folder: Path, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            old = self.folder / "staging" / ".trash" / secrets.token_hex(6)
            old.parent.mkdir(parents=True, exist_ok=True)
            final.rename(old)
            shutil.rmtree(old)
        folder.rename(final)

    @contextlib.contextmanager
    def _alone(self, artifact: Artifact) -> Iterator[None]:
        """No other process or thread of this machine fetches the artifact meanwhile."""
        path = self.folder / ".locks" / _name(artifact)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _keep_only_whole(folder: Path, files: tuple[FileEntry, ...]) -> list[FileEntry]:
    """Remove from the folder what is none of the files; say which of them are lacking."""
    wanted = {entry.name: entry for entry in files}
    found = {name: status.st_size for name, status in walk(folder)}
    likely = [name for name in found if name in wanted and found[name] == wanted[name].bytes]
    digests = of_each(sha256_of, [folder / name for name in likely])
    whole = {
        name for name, digest in zip(likely, digests, strict=True) if digest == wanted[name].sha256
    }
    for name in found.keys() - whole:
        (folder / name).unlink()
    return [entry for entry in files if entry.name not in whole]


def _name(artifact: Artifact) -> str:
    return f"{artifact.ref.stage}-{artifact.ref.input_id}"
