"""The receipt of an erasure: what was found where, what was done, and what is out of reach."""

from collections.abc import Mapping, Sequence
from typing import Any

Answer = dict[str, Any]

UNREACHABLE = (
    (
        "your source files",
        "the documents are still where they were read from: delete them there; until then their "
        "tombstones keep them out",
    ),
    (
        "backups and snapshots of the workspace",
        "delete them, or erase again after restoring one",
    ),
    (
        "copies that consumers made of embeddings, search indexes built on them, files written by "
        "`corpusmith embed`",
        "tell the consumers to delete these documents; content_sha256 names them in copies of the "
        "dataset",
    ),
    (
        "the disk's own remains",
        "file systems with journals or snapshots and solid-state disks keep deleted blocks for a "
        "while: only encryption with a destroyed key is sure",
    ),
    (
        "a Prefect server of your own, its logs and its database",
        "corpusmith sends it no text, but lines of errors may quote a document: delete runs that "
        "failed",
    ),
    (
        "what models have learned",
        "weights cannot be rewritten: `corpusmith run` makes models that never saw the documents; "
        "models that others continued from yours are theirs to make anew",
    ),
)


def unreachable(tracker: Mapping[str, Any]) -> list[dict[str, str]]:
    """What an erasure cannot reach, and what to do there."""
    found = [{"what": what, "do": do} for what, do in UNREACHABLE]
    if problem := tracker.get("problem"):
        do = f"{problem}: once it is there again, run the same command again"
        found.insert(0, {"what": f"MLflow at {tracker['location']}", "do": do})
    return found


def artifact_entry(path: str, num_documents: int, files: Sequence[str], *, learned: bool) -> Answer:
    """One artifact, as plans and receipts list it."""
    return {
        "path": path,
        "num_documents": num_documents,
        "files": list(files),
        "learned_from_erased": learned,
    }
