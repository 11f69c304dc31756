"""Rewrites checkpoints without the examples that they keep: passages of documents, and guesses."""

import hashlib
import json
from pathlib import Path

from model.state import STATE_FILE
from tasks.checkpoints import CHECKSUMS
from tasks.store.artifact import Artifact


def rewrite_checkpoints(artifact: Artifact, folder: Path) -> int:
    """Write new versions of the files of checkpoints that quote; returns how many those are.

    A run that goes on from one gathers examples anew; its weights and its steps are as they were.
    """
    found = sorted(artifact.path.glob(f"checkpoints/*/{STATE_FILE}"))
    return sum(_rewrite(path, folder / path.parent.relative_to(artifact.path)) for path in found)


def _rewrite(path: Path, folder: Path) -> bool:
    record = json.loads(path.read_text("utf-8"))
    if not record.get("state", {}).get("samples"):
        return False
    record["state"]["samples"] = []
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"
    checksums = json.loads((path.parent / CHECKSUMS).read_text("utf-8"))
    checksums[STATE_FILE] = hashlib.sha256(text.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / STATE_FILE).write_text(text, "utf-8")
    (folder / CHECKSUMS).write_text(json.dumps(checksums, indent=1, sort_keys=True), "utf-8")
    return True
