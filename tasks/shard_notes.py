"""Notes in a stage's scratch folder which shards are done, so that a later attempt keeps them."""

import json
from collections.abc import Sequence
from pathlib import Path

from model.json_files import parse_json
from tasks.store.atomic import fsync_file, fsync_folder, write_atomic
from tasks.store.hashing import sha256_of


def note_done(note: Path, key: str, files: Sequence[Path], num_documents: int) -> None:
    """Note that a shard is done, once what was made of it would survive a power failure.

    Args:
        note: in a folder that exists.
        key: of all that decides what the files hold, but for the request that the stage answers.
        files: what was made of the shard.
        num_documents: how many there were in it.
    """
    for path in files:
        fsync_file(path)
    for folder in sorted({path.parent for path in files}):
        fsync_folder(folder)
    values = {"key": key, "num_documents": num_documents, "sha256": _digests(files)}
    write_atomic(note, json.dumps(values).encode())


def done_before(note: Path, key: str, files: Sequence[Path]) -> int | None:
    """How many documents were in a shard that an earlier attempt has done; None where none has.

    Reads the files, which must be as they were.
    """
    try:
        values = parse_json(note.read_bytes())
        if (values["key"], values["sha256"]) != (key, _digests(files)):
            return None
        return int(values["num_documents"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _digests(files: Sequence[Path]) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in files}
