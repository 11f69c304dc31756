"""Answers ``corpusmith erase``: what would be erased, or the receipt of what was."""

from collections.abc import Sequence
from typing import Any

from flows.graph import STAGE_NAMES, load_stage
from tasks.erasure.erase import Wish, erase, plan_erasure
from tasks.store.store import Store
from tasks.store.workspace import Workspace


def erase_documents(
    workspace: Workspace,
    doc_ids: Sequence[str],
    *,
    yes: bool,
    with_duplicates: bool = False,
    reason: str = "",
) -> dict[str, Any]:
    """Erase documents from all that a workspace holds, or say what that would be.

    Args:
        workspace: where they are; nobody else may be at work in it.
        doc_ids: what they are called; none where an interrupted erasure is to be ended.
        yes: do it; otherwise nothing is touched.
        with_duplicates: erase near duplicates too; exact ones always are.
        reason: for the tombstone and the receipt.

    Raises:
        RequestError: an id is not known, the workspace is in a bucket, or someone works in it.
        ArtifactError: an artifact is damaged.
    """
    pages: dict[str, Sequence[str]] = {name: load_stage(name).quoting_files for name in STAGE_NAMES}
    wish = Wish(doc_ids, with_duplicates, reason, pages)
    store = Store(workspace)
    return erase(store, wish) if yes else plan_erasure(store, wish)
