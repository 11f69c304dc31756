"""A workspace: the one place that holds everything the chain makes, and where each thing lies."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, RequestError
from model.json_files import parse_json
from tasks.redaction import without_password
from tasks.store.artifact import artifact_path
from tasks.store.atomic import write_atomic
from tasks.store.canonical import plain_json
from tasks.store.disk import explaining_full_disk
from tasks.store.preflight import prepare_folders, raise_unwritable, try_renames
from tasks.store.record_files import RecordFiles
from tasks.store.remote import opening
from tasks.store.remote.bucket import Bucket
from tasks.store.remote.location import is_remote

FORMAT_VERSION = 1

_FORMAT_FILE = "workspace.json"
_FOLDERS_BYTES = 16 * 4096  # of the folders, a block each
_FORMAT = json.dumps({"format_version": FORMAT_VERSION}).encode()
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Workspace:
    """A workspace on this machine's file system, or one in a bucket with its local side.

    Attributes:
        path: its folder, absolute. For one in a bucket: where this machine works and keeps copies.
        bucket: where its artifacts and records are committed; None for a local one.
    """

    path: Path
    bucket: Bucket | None = None

    @classmethod
    def open(cls, location: str | Path) -> "Workspace":
        """The workspace at `location`, made there if there is none.

        Raises:
            RequestError: it cannot serve: no permission, a file in the way, another format, a
                staging folder on another disk than the artifacts, or no local folder at all.
            DiskFullError: there is no room even for its folders.
        """
        workspace = cls.named(location)
        if workspace.bucket and not workspace._check_bucket():
            opening.found_workspace(workspace.bucket, _FORMAT)
        with explaining_full_disk(workspace.path, _FOLDERS_BYTES):
            try:
                workspace._prepare()
            except (FileExistsError, NotADirectoryError) as error:
                raise RequestError(
                    f"workspace {workspace.path}: a file is in the way at {error.filename}: "
                    "move it or choose another folder"
                ) from error
            except OSError as error:
                raise_unwritable(workspace.path, error)
        return workspace

    @classmethod
    def open_existing(cls, location: str | Path) -> "Workspace":
        """The workspace at `location`, for commands that only read; nothing is created.

        Raises:
            RequestError: there is none, it cannot be read, or it is of another format.
        """
        workspace = cls.named(location)
        if not workspace._check():
            raise RequestError(
                f"there is no workspace at {workspace.location}: `corpusmith run` makes one"
            )
        return cls.open(location) if workspace.bucket else workspace  # copies need a place

    @classmethod
    def at(cls, location: str | Path) -> "Workspace":
        """The workspace at `location`, whether there is one yet or not; nothing is created.

        Raises:
            RequestError: it cannot be read, is of another format, or is no local folder.
        """
        workspace = cls.named(location)
        workspace._check()
        return workspace

    @classmethod
    def named(cls, location: str | Path) -> "Workspace":
        """What a location stands for; nobody is asked whether it is there.

        Raises:
            RequestError: it is no folder and no address, or the library for it is not installed.
        """
        if is_remote(str(location)):
            return cls(*opening.locate(str(location)))
        return cls(_local_folder(location))

    @property
    def location(self) -> str:
        """Where it is, as users name it: its folder, or ``s3://bucket/prefix``."""
        return self.bucket.url if self.bucket else str(self.path)

    @property
    def exists(self) -> bool:
        """Whether it is there already, as `open` makes it."""
        if self.bucket:
            return opening.read_format(self.bucket) is not None
        return (self.path / _FORMAT_FILE).is_file()

    @property
    def artifacts(self) -> Path:
        """Committed artifacts: ``<stage>/<input_id>/``."""
        return self.path / "artifacts"

    @property
    def staging(self) -> Path:
        """Work in progress: ``<stage>/<input_id>/<attempt_id>/``."""
        return self.path / "staging"

    @property
    def leases(self) -> Path:
        """Who works on what: ``<stage>/<input_id>/<fence>.json``."""
        return self.path / "leases"

    @property
    def quarantine(self) -> Path:
        """Artifacts that were set aside, each beside a file that says why."""
        return self.path / "quarantine"

    @property
    def runs_folder(self) -> Path:
        """Records of runs: ``<run_id>.json``."""
        return self.path / "runs"

    @property
    def published(self) -> Path:
        """Releases and the pointer to the current one."""
        return self.path / "published"

    @property
    def current_release(self) -> Path:
        """The pointer to what is published now, JSON; absent before the first release."""
        return self.published / "current.json"

    def prepare_stage(self, stage: str) -> None:
        """See, before a stage's work, that what it makes can be committed.

        What lies below the workspace's folders may be linked elsewhere, or another user's.

        Raises:
            RequestError: no permission, a file in the way, or another disk.
            DiskFullError: there is no room even for its folders.
        """
        folders = [place / stage for place in (self.staging, self.artifacts, self.quarantine)]
        if self.bucket:
            folders = folders[:1]  # a commit is a request to the server
        with explaining_full_disk(self.path, _FOLDERS_BYTES):
            try:
                prepare_folders([*folders, self.leases / stage])
                try_renames(folders)
            except OSError as error:
                raise_unwritable(self.path, error)

    @property
    def state(self) -> Path:
        """Local state of the orchestrator and the tracker; the user's, where it is in a bucket."""
        if self.bucket:
            return opening.state_of(self.bucket)
        return self.path / "state"

    def artifact_folder(self, stage: str, input_id: str) -> Path:
        """Where the answer to a request lies, if it is there."""
        return self.path / artifact_path(stage, input_id)

    def write_run(self, run_id: str, record: Mapping[str, Any]) -> Path:
        """Keep the record of a run, JSON values; one of the same id is replaced."""
        assert _RUN_ID.fullmatch(run_id), f"run id {run_id!r}"
        text = json.dumps(plain_json(record, "record"), indent=1, ensure_ascii=False)
        return self._write_record(f"{run_id}.json", text.encode())

    def write_run_file(self, run_id: str, name: str, data: bytes) -> Path:
        """Keep a small file beside the record of a run; returns where it lies on this machine."""
        assert _RUN_ID.fullmatch(run_id), f"run id {run_id!r}"
        (self.runs_folder / run_id).mkdir(exist_ok=True)
        return self._write_record(f"{run_id}/{name}", data)

    def runs(self) -> RecordFiles:
        """The records of all runs, oldest first, each read when it is asked for."""
        if self.bucket:
            found = self.bucket.run_records()
            return RecordFiles([(where, partial(bytes, raw)) for where, raw in found])
        paths = [path for path in self.runs_folder.glob("*.json") if path.name[0] != "."]
        paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        return RecordFiles([(str(path), path.read_bytes) for path in paths])

    def release_records(self, num_newest: int) -> Iterator[tuple[str, bytes]]:
        """Place and content of the pointer to the current release, and of the newest releases.

        Raises:
            ArtifactError: one of them cannot be read.
        """
        if self.bucket:
            yield from self.bucket.release_records(num_newest)
            return
        newest = sorted((self.published / "releases").glob("[0-9]*.json"), reverse=True)
        for path in (self.current_release, *newest[:num_newest]):
            try:
                yield str(path), path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error

    def _write_record(self, name: str, data: bytes) -> Path:
        path = self.runs_folder / name
        write_atomic(path, data)
        if self.bucket:
            self.bucket.objects.put(f"runs/{name}", data)
        return path

    def _prepare(self) -> None:
        known = self._check_format()
        prepare_folders(self._folders())
        try_renames([self.staging, self.artifacts, self.quarantine])
        if not known:
            write_atomic(self.path / _FORMAT_FILE, _FORMAT)

    def _folders(self) -> list[Path]:
        below = [self.artifacts, self.staging, self.leases, self.quarantine]
        return [self.path, *below, self.runs_folder, self.published, self.state]

    def _check(self) -> bool:
        return self._check_bucket() if self.bucket else self._check_format()

    def _check_bucket(self) -> bool:
        """Whether there is a workspace in the bucket already, and of our format."""
        assert self.bucket
        raw = opening.read_format(self.bucket)
        if raw is not None:
            opening.same_format(raw, FORMAT_VERSION, f"workspace {self.bucket.url}")
        return raw is not None

    def _check_format(self) -> bool:
        """Whether this is a workspace already, and of our format."""
        path = self.path / _FORMAT_FILE
        try:
            version = parse_json(path.read_bytes())["format_version"]
        except FileNotFoundError:
            return False
        except NotADirectoryError as error:
            raise RequestError(f"workspace {self.path} is a file: choose a folder") from error
        except OSError as error:
            raise RequestError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{path} is damaged: choose another workspace") from error
        if version != FORMAT_VERSION:
            raise RequestError(
                f"workspace {self.path} has format {version}, this corpusmith needs format "
                f"{FORMAT_VERSION}: choose another folder or another corpusmith"
            )
        return True


def _local_folder(location: str | Path) -> Path:
    text = str(location)
    if "://" in text or "\0" in text or not text.strip():
        raise RequestError(
            f"workspace {without_password(text)!r} is no folder: give the path of a local one, "
            "or s3://"
        )
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise RequestError(f"workspace {text}: the path leads nowhere: {error}") from error
