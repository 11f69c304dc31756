"""Writes down, beside the artifacts, what is being erased, what was, and the receipt."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from model.errors import RequestError
from tasks.erasure.receipt import Answer
from tasks.erasure.targets import Targets
from tasks.store.atomic import write_atomic
from tasks.store.run_records import utc_now
from tasks.store.workspace import Workspace
from tasks.tombstones import NO_TOMBSTONES, erased_folder, pending_file, read_tombstones


def write_tombstone(workspace: Workspace, pending: Answer) -> None:
    """Keep hashes of what is erased, for ever; those that an erasure of that id left stay.

    Raises:
        ArtifactError: a tombstone that is there already is damaged.
    """
    stones = Targets.from_json(pending["targets"]).tombstones
    read_tombstones(workspace)  # none that is damaged is taken for nothing, or written over
    if stones == NO_TOMBSTONES:
        return
    folder = erased_folder(workspace) / "tombstones"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pending['erasure_id']}.json"
    before = json.loads(path.read_bytes()) if path.exists() else {"doc_ids": [], "contents": []}
    values = {
        "format_version": 1,
        "erased_at": pending["began_at"],
        "reason": pending["reason"],
        "doc_ids": sorted(stones.doc_ids.union(before["doc_ids"])),
        "contents": sorted(stones.contents.union(before["contents"])),
    }
    text = json.dumps(values, indent=1, ensure_ascii=False)
    write_atomic(path, text.encode())


def write_receipt(workspace: Workspace, pending: Answer, receipt: Answer) -> Path:
    """Keep the receipt; returns where."""
    folder = erased_folder(workspace) / "receipts"
    folder.mkdir(parents=True, exist_ok=True)
    now = utc_now()
    name = f"{now[:19].replace('-', '').replace(':', '')}-{pending['erasure_id'][:8]}.json"
    values = {
        "format_version": 1,
        "erasure_id": pending["erasure_id"],
        "began_at": pending["began_at"],
        "ended_at": now,
        "reason": pending["reason"],
        **receipt,
    }
    write_atomic(folder / name, json.dumps(values, indent=1, ensure_ascii=False).encode())
    return folder / name


def read_pending(workspace: Workspace) -> Answer | None:
    """What an erasure at work, or one that died, erases; None where there is none."""
    try:
        pending: Answer = json.loads(pending_file(workspace).read_bytes())
    except FileNotFoundError:
        return None
    return pending


@contextlib.contextmanager
def sole(workspace: Workspace) -> Iterator[None]:
    """Nobody else erases during the block."""
    folder = erased_folder(workspace)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(
                f"{workspace.location}: another erasure is at work: wait until it ends"
            ) from None
        yield
    finally:
        os.close(descriptor)
