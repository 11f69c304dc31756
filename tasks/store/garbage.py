"""Finds, and deletes if asked, what nothing refers to any more."""

import contextlib
import math
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ArtifactError
from model.json_files import parse_json
from tasks.store.artifact import Artifact
from tasks.store.aside import REASON_SUFFIX
from tasks.store.disk import says_disk_is_full
from tasks.store.errors import DiskFullError
from tasks.store.hashing import size_of
from tasks.store.identity import stage_of_input
from tasks.store.lease import Lease, is_held, try_lease
from tasks.store.lookup import Lookup
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.run_records import (
    COMPLETED,
    REFRESH,
    WHOLE_CHAIN,
    Record,
    compared_corpus,
    is_going_on_here,
    state_of,
)

KEPT_RELEASES = 3  # to go back to
_TRASH = ".trash"
_DAY_S = 86_400.0

Key = tuple[str, str]


@dataclass(frozen=True)
class Garbage:
    """A folder nothing needs, and the request it belongs to, if it still belongs to one."""

    path: Path
    request: Key | None


def find_garbage(
    lookup: Lookup, older_than_days: float, keep_releases: int = KEPT_RELEASES
) -> list[Garbage]:
    """Staging without a live lease, quarantined folders and unreferenced artifacts, if old enough.

    An artifact is referenced by the current release, by the newest `keep_releases` of all that
    there were, by the newest run that was completed and those after it, by the drift that was
    judged last, and by what all these were made from. While any work is going on no artifact is
    garbage: it may be needed next.

    Raises:
        ArtifactError: a kept release or a run record cannot be read, so nothing is certain.
    """
    before_s = time.time() - older_than_days * _DAY_S
    found = [*_staging(lookup), *_quarantined(lookup), *_unreferenced(lookup, keep_releases)]
    return [garbage for garbage in found if _changed_at(garbage.path) <= before_s]


def delete(lookup: Lookup, garbage: Garbage) -> bool:
    """Delete one folder, unless someone works on its request now, or has deleted it before.

    It is renamed first, so that a half-deleted artifact is never found under its own name.
    """
    if garbage.request is None:
        return _remove(lookup, garbage.path)
    stage, input_id = garbage.request
    seat = lookup.seat(stage, input_id)
    try:
        lease = try_lease(seat, stage, input_id)
    except DiskFullError:  # nobody else finds room for one either, and this is to make some
        if is_held(seat.newest()):
            return False
        return _remove(lookup, garbage.path)
    if lease is None:
        return False
    try:
        was_there = _remove(lookup, garbage.path)
        _forget(lookup, lease)
    finally:
        lease.release()  # of no effect where it was forgotten
    return was_there


def _forget(lookup: Lookup, lease: Lease) -> None:
    """The lease goes with the last that there was of its request, or there would be one more for
    each artifact there ever was. While it is held: once released, it may be another's."""
    stage, input_id = lease.stage, lease.input_id
    workspace = lookup.workspace
    places = (workspace.artifact_folder(stage, input_id), workspace.staging / stage / input_id)
    if not any(place.exists() for place in places):
        lease.forget()


def _remove(lookup: Lookup, path: Path) -> bool:
    """Whether it was there to be deleted."""
    trash = lookup.workspace.staging / _TRASH / secrets.token_hex(6)
    try:
        if not _moved(path, trash):
            return False
    except OSError as error:
        if not says_disk_is_full(error):
            raise
        trash = path
        (path / MANIFEST_NAME).unlink(missing_ok=True)  # so that it is none from now on
    _delete_tree(trash)
    path.with_name(path.name + REASON_SUFFIX).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return True


def _moved(path: Path, trash: Path) -> bool:
    """Whether it was there to be renamed. Another process that deletes may take it, or remove the
    folder for trash as soon as that is empty."""
    while path.exists():
        trash.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.rename(trash)
            return True
    return False


def _delete_tree(folder: Path) -> None:
    """Another process that deletes may be at it, too, and be faster here and there."""

    def pass_over(function: object, path: str, error: tuple[object, BaseException, object]) -> None:
        if not isinstance(error[1], FileNotFoundError):
            raise error[1]

    shutil.rmtree(folder, onerror=pass_over)


def old_staging(lookup: Lookup, before_s: float) -> Iterator[Garbage]:
    """Work on this machine that nobody goes on with, last touched before a moment."""
    for garbage in _staging(lookup):
        if _changed_at(garbage.path) <= before_s:
            yield garbage


def leftovers(lookup: Lookup) -> list[Garbage]:
    """All that is neither an artifact nor work at hand, of whatever age; see `delete`.

    What was set aside goes whoever works: nothing of it may outlast an erasure.
    """
    set_aside = (Garbage(each.path, None) for each in _quarantined(lookup))
    return [*_staging(lookup), *set_aside]


def _staging(lookup: Lookup) -> Iterator[Garbage]:
    for attempt in _folders(lookup.workspace.staging, depth=3):
        stage, input_id = attempt.parent.parent.name, attempt.parent.name
        if not is_held(lookup.seat(stage, input_id).newest()):
            yield Garbage(attempt, (stage, input_id))
    yield from (Garbage(path, None) for path in _trashed(lookup))


def _trashed(lookup: Lookup) -> Iterator[Path]:
    """What an interrupted deletion left."""
    trash = lookup.workspace.staging / _TRASH
    return iter(_children(trash))


def _quarantined(lookup: Lookup) -> Iterator[Garbage]:
    """Its request too, since whoever works on that may be taking over what is whole of it."""
    for folder in _folders(lookup.workspace.quarantine, depth=2):
        input_id = folder.name.rpartition("-")[0]
        yield Garbage(folder, (folder.parent.name, input_id) if input_id else None)


def _unreferenced(lookup: Lookup, keep_releases: int) -> Iterator[Garbage]:
    if lookup.is_at_work():
        return
    records = lookup.workspace.runs()
    if any(map(is_going_on_here, records)):  # between two stages it holds none
        return
    needed = needed_artifacts(lookup, records, keep_releases)
    for folder in _folders(lookup.workspace.artifacts, depth=2):
        if (folder.parent.name, folder.name) not in needed:
            yield Garbage(folder, (folder.parent.name, folder.name))


def needed_artifacts(lookup: Lookup, records: Sequence[Record], keep_releases: int) -> set[Key]:
    """(stage, input_id) of what kept releases and recent runs refer to, and what that is made of.

    Args:
        lookup: of the workspace.
        records: of all its runs, oldest first.
        keep_releases: how many of the newest releases count.

    Raises:
        ArtifactError: a kept release cannot be read.
    """
    waiting = [*_released(lookup, keep_releases), *_recorded(records), *_compared(records)]
    needed: set[Key] = set()
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting.extend(_inputs(lookup, key))
    return needed


def _inputs(lookup: Lookup, key: Key) -> list[Key]:
    try:
        artifact: Artifact = lookup.read(*key)
    except ArtifactError:
        return []
    inputs = artifact.manifest.identity.inputs
    return [(stage_of_input(name), input_id) for name, input_id in inputs.items()]


def _released(lookup: Lookup, keep_releases: int) -> Iterator[Key]:
    for place, raw in lookup.workspace.release_records(keep_releases):
        try:
            release = parse_json(raw)
        except ValueError as error:
            raise ArtifactError(
                f"{place} cannot be read, so nothing is deleted: publish again"
            ) from error
        yield from (key for value in release.values() for key in _keys(value))


def _recorded(records: Sequence[Record]) -> Iterator[Key]:
    """What the newest completed run used, and those after it, which may be run again.

    Of the refreshes since then, the newest that published and those after it: the ones before are
    done with, and a workspace that is refreshed every night would keep every table.
    """
    is_refreshed = False
    for record in reversed(records):
        if record.get("flow") == REFRESH:
            if is_refreshed:
                continue
            is_refreshed = state_of(record) == COMPLETED and bool(record.get("published"))
        artifacts = record.get("artifacts", [])
        if isinstance(artifacts, Mapping):
            artifacts = [{"stage": stage, **ref} for stage, ref in artifacts.items()]
        yield from (key for value in artifacts for key in _keys(value))
        if state_of(record) == COMPLETED and record.get("flow", WHOLE_CHAIN) == WHOLE_CHAIN:
            return


def _compared(records: Sequence[Record]) -> Iterator[Key]:
    """The corpus that new documents are told from: without it, known drift would be told again.

    Nights that bring too few documents to tell publish and judge nothing, and they may be many.
    """
    if corpus := compared_corpus(records):
        yield corpus.stage, corpus.input_id


def _keys(value: Any) -> Iterator[Key]:
    if isinstance(value, Mapping) and "stage" in value and "input_id" in value:
        yield value["stage"], value["input_id"]


def _folders(root: Path, *, depth: int) -> list[Path]:
    """The folders `depth` levels below `root`, sorted, without hidden ones."""
    found = [root]
    for _ in range(depth):
        found = [
            child
            for parent in found
            for child in _children(parent)
            if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
        ]
    return found


def _children(folder: Path) -> list[Path]:
    """What lies in it, sorted; nothing where another process has deleted it by now."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _changed_at(folder: Path) -> float:
    """When it was finished, set aside or last worked on, in seconds of the wall clock.

    Infinite for one that another process deletes meanwhile.
    """
    try:
        for marker in (folder.with_name(folder.name + REASON_SUFFIX), folder / MANIFEST_NAME):
            if marker.exists():
                return marker.stat().st_mtime
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return math.inf


def sized(garbage: Garbage) -> tuple[Path, int]:
    """The folder and the bytes of all files in it; 0 where another process has deleted it."""
    try:
        return garbage.path, size_of(garbage.path)
    except FileNotFoundError:
        return garbage.path, 0
