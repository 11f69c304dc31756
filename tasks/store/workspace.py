"""A workspace: the one folder that holds everything the chain makes, and where each thing lies."""

import errno
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, RequestError
from tasks.store.artifact import artifact_path
from tasks.store.atomic import write_atomic
from tasks.store.canonical import plain_json
from tasks.store.disk import explaining_full_disk

FORMAT_VERSION = 1

_FORMAT_FILE = "workspace.json"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Workspace:
    """A workspace on this machine's file system.

    Attributes:
        path: its folder, absolute.
    """

    path: Path

    @classmethod
    def open(cls, location: str | Path) -> "Workspace":
        """The workspace at `location`, made there if there is none.

        Raises:
            RequestError: it cannot serve: no permission, a file in the way, another format, a
                staging folder on another disk than the artifacts, or no local folder at all.
            DiskFullError: there is no room even for its folders.
        """
        workspace = cls(_local_folder(location))
        with explaining_full_disk(workspace.path):
            try:
                workspace._prepare()
            except (FileExistsError, NotADirectoryError) as error:
                raise RequestError(
                    f"workspace {workspace.path}: a file is in the way at {error.filename}: "
                    "move it or choose another folder"
                ) from error
            except OSError as error:
                _raise_unwritable(workspace.path, error)
        return workspace

    @classmethod
    def open_existing(cls, location: str | Path) -> "Workspace":
        """The workspace at `location`, for commands that only read; nothing is created.

        Raises:
            RequestError: there is none, it cannot be read, or it is of another format.
        """
        workspace = cls(_local_folder(location))
        if not workspace._check_format():
            raise RequestError(
                f"there is no workspace at {workspace.path}: `corpusmith run` makes one"
            )
        return workspace

    @classmethod
    def at(cls, location: str | Path) -> "Workspace":
        """The workspace at `location`, whether there is one yet or not; nothing is created.

        Raises:
            RequestError: it cannot be read, is of another format, or is no local folder.
        """
        workspace = cls(_local_folder(location))
        workspace._check_format()
        return workspace

    @property
    def exists(self) -> bool:
        """Whether it is there already, as `open` makes it."""
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

    @property
    def state(self) -> Path:
        """Local state of the orchestrator and the tracker."""
        return self.path / "state"

    def artifact_folder(self, stage: str, input_id: str) -> Path:
        """Where the answer to a request lies, if it is there."""
        return self.path / artifact_path(stage, input_id)

    def write_run(self, run_id: str, record: Mapping[str, Any]) -> Path:
        """Keep the record of a run, JSON values; one of the same id is replaced."""
        assert _RUN_ID.fullmatch(run_id), f"run id {run_id!r}"
        path = self.runs_folder / f"{run_id}.json"
        text = json.dumps(plain_json(record, "record"), indent=1, ensure_ascii=False)
        write_atomic(path, text.encode())
        return path

    def runs(self) -> list[dict[str, Any]]:
        """The records of all runs, oldest first.

        Raises:
            ArtifactError: one of them is damaged.
        """
        paths = [path for path in self.runs_folder.glob("*.json") if path.name[0] != "."]
        paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [_read_record(path) for path in paths]

    def _prepare(self) -> None:
        known = self._check_format()
        for folder in self._folders():
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        self._try_a_commit()
        if not known:
            content = json.dumps({"format_version": FORMAT_VERSION})
            write_atomic(self.path / _FORMAT_FILE, content.encode())

    def _folders(self) -> list[Path]:
        below = [self.artifacts, self.staging, self.leases, self.quarantine]
        return [self.path, *below, self.runs_folder, self.published, self.state]

    def _try_a_commit(self) -> None:
        """What a commit needs is tried, since permissions and mount points only tell half."""
        probe = f".probe-{secrets.token_hex(6)}"
        (self.staging / probe).mkdir()
        try:
            (self.staging / probe).rename(self.artifacts / probe)
        except OSError:
            (self.staging / probe).rmdir()
            raise
        (self.artifacts / probe).rmdir()

    def _check_format(self) -> bool:
        """Whether this is a workspace already, and of our format."""
        path = self.path / _FORMAT_FILE
        try:
            version = json.loads(path.read_bytes())["format_version"]
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
    if text.startswith("s3:"):
        raise RequestError(
            f"workspace {text}: S3 workspaces are not supported yet by this version; "
            "use a local folder"
        )
    if "://" in text or "\0" in text or not text.strip():
        raise RequestError(f"workspace {text!r} is no folder: give the path of a local one")
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise RequestError(f"workspace {text}: the path leads nowhere: {error}") from error


def _raise_unwritable(path: Path, error: OSError) -> None:
    if error.errno == errno.EXDEV:
        raise RequestError(
            f"workspace {path}: staging and artifacts lie on different disks, so nothing could "
            "be committed at once: put both on one"
        ) from error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise error
    raise RequestError(
        f"workspace {path} cannot be written to ({error.strerror} at {error.filename}): "
        "choose another folder or ask for permission"
    ) from error


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactError(f"{path} is damaged: it is not JSON; move it away") from error
    if not isinstance(record, dict):
        raise ArtifactError(f"{path} is damaged: it is no record of a run; move it away")
    return record
