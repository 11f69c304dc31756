"""Names what an update learned from whose loss went wrong, so that a user can look at it."""

import json
from collections.abc import Sequence
from pathlib import Path

from model.packing import PackingPlan
from tasks.tokens import TokenizedCorpus

FAILED_BATCH_FILE = "failed-batch.json"
NUM_NAMED = 3
MAX_ID_CHARACTERS = 60


def write_failed_batch(
    folder: Path, tokens: TokenizedCorpus, step: int, chosen: Sequence[tuple[int, int]]
) -> str:
    """Writes `failed-batch.json`; returns one line that names the first documents and the file.

    Args:
        folder: to write into.
        tokens: whose training split was learned from.
        step: the update, from 1.
        chosen: epoch and row of everything in it.

    Raises:
        ArtifactError: the tokens were made by an earlier version, which kept no ids.
    """
    plan = tokens.packed("train").plan
    documents = [_documents(tokens, plan, row) for _, row in chosen]
    rows = [
        {"epoch": epoch, "row": row, "documents": ids}
        for (epoch, row), ids in zip(chosen, documents, strict=True)
    ]
    path = folder / FAILED_BATCH_FILE
    text = json.dumps({"step": step, "rows": rows}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return f"it learned from {_in_words(documents)}: see {path}"


def _documents(tokens: TokenizedCorpus, plan: PackingPlan, row: int) -> list[str]:
    """Ids of the documents that have a piece in the row, in order, each once."""
    begin, end = plan.row_offsets_R1[row : row + 2]
    numbers = list(dict.fromkeys(plan.piece_document[begin:end].tolist()))
    return tokens.document_ids("train", numbers)


def _in_words(documents: Sequence[Sequence[str]]) -> str:
    """The first few ids and how many more there are."""
    ids = list(dict.fromkeys(each for row in documents for each in row))
    named = ", ".join(repr(each[:MAX_ID_CHARACTERS]) for each in ids[:NUM_NAMED])
    more = f" and {len(ids) - NUM_NAMED} more" if len(ids) > NUM_NAMED else ""
    return f"the documents {named}{more}"
