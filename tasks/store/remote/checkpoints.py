"""Checkpoints of work in progress in a bucket, so that another machine goes on from them.

A checkpoint's files lie where the artifact's will, under their hashes, so that a commit sends
none of them again; a record that names them is written last and makes them count.
"""

import contextlib
import json
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.checkpoints import CHECKSUMS, UNSCHEDULED
from tasks.store.errors import LeaseLostError, StorageError
from tasks.store.hashing import sha256_of, walk
from tasks.store.lease import Lease
from tasks.store.manifest import FileEntry
from tasks.store.remote.bucket import Bucket, data_key
from tasks.store.remote.transfers import fetch, send

CHECKPOINTS = "checkpoints"  # in the folder of a stage that trains
LOOK_S = 1.0

_STEP = "step-"


class CheckpointRecord(BaseModel):
    """What a checkpoint consists of; the names are those in the stage's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: tuple[FileEntry, ...]

    @property
    def is_scheduled(self) -> bool:
        """Whether it belongs to the result."""
        return all(not entry.name.endswith(f"/{UNSCHEDULED}") for entry in self.files)

    def sha256_of(self, name: str) -> str | None:
        """Of one of its files, without folders."""
        found = (entry.sha256 for entry in self.files if entry.name.endswith(f"/{name}"))
        return next(found, None)


@dataclass
class CheckpointCourier:
    """Brings the checkpoints of one attempt to the bucket as they appear, from a thread.

    Attributes:
        bucket: of the workspace.
        lease: on the request; nothing is written for one that was lost.
        folder: the stage works in.
        warn: told of what could not be brought or fetched.
    """

    bucket: Bucket
    lease: Lease
    folder: Path
    warn: Callable[[str], None]
    _known: dict[str, CheckpointRecord] = field(default_factory=dict)
    _damaged: set[int] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _has_warned: bool = False

    def fetch(self) -> None:
        """Put into the folder what earlier attempts left in the bucket and is not here.

        A damaged one is passed over with a warning and removed, so that it is written anew.
        """
        for name, record in sorted(self._recorded(), reverse=True):
            here = self.folder / CHECKPOINTS / name
            if not _is_same(here, record) and not self._fetch_one(name, record, here):
                self._forget(name, record)
                continue
            self._known[name] = record

    def start(self) -> None:
        """Look every second for checkpoints that have been finished or dropped."""
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)
        self._thread.start()

    def stop(self, *, last_look: bool) -> None:
        """End the thread; `last_look` brings what was finished since."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        if last_look:
            self._look()

    def clear(self, kept: tuple[FileEntry, ...]) -> None:
        """Remove the records, and the files that are none of the artifact's, when it is there."""
        with contextlib.suppress(StorageError):  # of no harm: garbage collection comes later
            for name, record in self._recorded():
                self._forget(name, record, keep=kept)

    def _keep_looking(self) -> None:
        while not self._stop.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        """Bring what is new, forget what the stage has dropped; never ends the stage."""
        try:
            for name, folder in self._finished():
                is_known = name in self._known and _is_same(folder, self._known[name])
                if not is_known and folder.stat().st_ino not in self._damaged:
                    self._bring(name, folder)
            self._forget_dropped()
        except LeaseLostError:
            self._stop.set()
        except (OSError, ValueError) as error:
            if not self._has_warned:  # once: the next look may succeed, or fail every second
                self.warn(f"{self.lease.stage}: a checkpoint is not in the bucket yet: {error}")
            self._has_warned = True

    def _finished(self) -> Iterator[tuple[str, Path]]:
        for folder in sorted((self.folder / CHECKPOINTS).glob(f"{_STEP}*")):
            if folder.is_dir():  # it got this name by a rename when it was whole
                yield folder.name, folder

    def _bring(self, name: str, folder: Path) -> None:
        try:
            record = _record_of(folder)
            if record is None:  # the stage will find out too; do not read it every second
                self._damaged.add(folder.stat().st_ino)
                return
            stage, input_id = self.lease.stage, self.lease.input_id
            send(self.bucket, stage, input_id, self.folder, record.files)
        except FileNotFoundError:  # dropped by the stage meanwhile
            return
        self.lease.check()
        self.bucket.objects.put(self._key(name), record.model_dump_json().encode())
        self._known[name] = record

    def _forget_dropped(self) -> None:
        """Those that belong to no result, as the stage does; others stay until the commit."""
        here = {name for name, _ in self._finished()}
        dropped = [name for name in self._known if name not in here]
        for name in dropped:
            record = self._known.pop(name)
            if not record.is_scheduled:
                self.lease.check()
                self._forget(name, record)

    def _forget(
        self, name: str, record: CheckpointRecord, keep: tuple[FileEntry, ...] = ()
    ) -> None:
        stage, input_id = self.lease.stage, self.lease.input_id
        gone = [entry for entry in record.files if entry not in keep]
        self.bucket.objects.delete([self._key(name)])
        self.bucket.objects.delete(data_key(stage, input_id, entry) for entry in gone)

    def _fetch_one(self, name: str, record: CheckpointRecord, here: Path) -> bool:
        stage, input_id = self.lease.stage, self.lease.input_id
        # A name that the next resume removes, should this one not come to its end.
        place = here.parent / f".writing-{_STEP}{secrets.token_hex(4)}"
        try:
            flaws = fetch(self.bucket, stage, input_id, place, record.files)
            if flaws:
                said = next(iter(sorted(flaws.values())))
                self.warn(f"{stage}: {name} is damaged in the bucket ({said}): it is made again")
                return False
            shutil.rmtree(here, ignore_errors=True)
            for path in (place / CHECKPOINTS / name).rglob("*"):
                path.chmod(0o644 if path.is_file() else 0o755)  # the stage may remove or rewrite it
            (place / CHECKPOINTS / name).rename(here)
            return True
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _recorded(self) -> list[tuple[str, CheckpointRecord]]:
        found = []
        for listed in self.bucket.objects.listed(self._key("").removesuffix(".json")):
            name = listed.key.rpartition("/")[2].removesuffix(".json")
            stored = self.bucket.objects.read(listed.key)
            with contextlib.suppress(ValidationError):
                if stored:
                    found.append((name, CheckpointRecord.model_validate_json(stored.raw)))
        return found

    def _key(self, name: str) -> str:
        return f"{CHECKPOINTS}/{self.lease.stage}/{self.lease.input_id}/{name}.json"


def _record_of(folder: Path) -> CheckpointRecord | None:
    """The record of a finished checkpoint; None where it was damaged since it was written."""
    recorded = json.loads((folder / CHECKSUMS).read_bytes())
    below = f"{CHECKPOINTS}/{folder.name}"
    entries = [
        FileEntry(name=f"{below}/{name}", bytes=status.st_size, sha256=sha256_of(folder / name))
        for name, status in walk(folder)
    ]
    found = {entry.name: entry.sha256 for entry in entries}
    expected = {f"{below}/{name}": sha256 for name, sha256 in recorded.items()}
    found.pop(f"{below}/{CHECKSUMS}")
    return CheckpointRecord(files=tuple(entries)) if found == expected else None


def _is_same(folder: Path, record: CheckpointRecord) -> bool:
    """Whether the folder is that checkpoint, as its list of checksums says."""
    try:
        return sha256_of(folder / CHECKSUMS) == record.sha256_of(CHECKSUMS)
    except OSError:
        return False
