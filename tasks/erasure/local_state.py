"""Erases from the workspace's own state what is no artifact: indexes, pages, databases."""

import sqlite3
from collections.abc import Collection, Set
from pathlib import Path

from model.errors import RequestError
from tasks.erasure.databases import blank_database
from tasks.erasure.pages import page_of
from tasks.store.atomic import write_atomic

_NOTE = (
    "\n## Erased since\n\nThe embedder learned from documents that have been erased since. A new "
    "run makes one that never saw them.\n"
)


def remove_indexes(state: Path, content_id: str) -> list[Path]:
    """Delete the search index of a dataset, whole or in part; the next search makes another."""
    found = sorted((state / "search").glob(f"{content_id}.faiss*"))
    for path in found:
        path.unlink(missing_ok=True)
    return found


def replace_examples(state: Path) -> list[Path]:
    """Replace pages that wait to be sent to the tracker; they are told of, so they stay."""
    found = [path for path in sorted((state / "examples").glob("*/*")) if path.is_file()]
    for path in found:
        write_atomic(path, page_of(path.name).encode())
    return found


def blank_databases(state: Path, pieces: Set[str]) -> list[Path]:
    """Blank what quotes documents; returns the databases that did.

    Raises:
        RequestError: one of them is in use, or cannot be read.
    """
    blanked = []
    for path in sorted({*state.glob("*.db"), *state.glob("prefect/*.db")}):
        try:
            if blank_database(path, pieces):
                blanked.append(path)
        except sqlite3.Error as error:
            raise RequestError(
                f"{path} may quote what is erased, and cannot be rewritten ({error}): stop what "
                "uses it, then `corpusmith erase --yes`"
            ) from error
    return blanked


def mark_cards(runs_folder: Path, run_ids: Collection[str]) -> int:
    """Say in the model cards of runs that their embedder learned from erased documents."""
    num_marked = 0
    for run_id in run_ids:
        card = runs_folder / run_id / "model_card.md"
        if card.exists() and _NOTE not in (text := card.read_text("utf-8")):
            write_atomic(card, (text + _NOTE).encode())
            num_marked += 1
    return num_marked
