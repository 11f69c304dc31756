"""Reads tokens and groups them into blocks as run_mlm.py does; needs numpy and pyarrow only."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

TokenIds = NDArray[Any]

DOCUMENTS_AT_ONCE = 1000  # as datasets.map groups them where run_mlm.py says nothing


def read_summary(tokens: Path) -> dict[str, Any]:
    """Row length, vocabulary and special ids of a tokenize artifact."""
    summary: dict[str, Any] = json.loads((tokens / "tokens.json").read_text("utf-8"))
    return summary


def read_documents(tokens: Path, split: str = "train") -> Iterator[TokenIds]:
    """Token ids of the split's documents, without special tokens, in corpus order."""
    for path in sorted((tokens / "tokens").glob(f"{split}-*.arrow")):
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        for number in range(reader.num_record_batches):
            column = reader.get_batch(number).column("token_ids")
            values, offsets = column.values.to_numpy(), column.offsets.to_numpy()
            for begin, end in pairwise(offsets):
                yield values[begin:end]


def group_texts(
    documents: Sequence[TokenIds], block_tokens: int, cls_id: int, sep_id: int
) -> TokenIds:
    """Blocks int64 [B, L] of documents joined and cut as run_mlm.py does it: each thousand of
    documents by itself, and what does not fill its last block is dropped."""
    blocks = [np.empty((0, block_tokens), np.int64)]
    for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
        parts = [
            np.concatenate([[cls_id], document, [sep_id]]).astype(np.int64)
            for document in documents[start : start + DOCUMENTS_AT_ONCE]
        ]
        joined = np.concatenate(parts)
        num_blocks = len(joined) // block_tokens
        blocks.append(joined[: num_blocks * block_tokens].reshape(num_blocks, block_tokens))
    return np.concatenate(blocks)


def grouped_blocks(
    tokens: Path, max_documents: int | None = None
) -> tuple[TokenIds, dict[str, Any]]:
    """All blocks int64 [B, L] of the training split, and how well they are filled."""
    summary = read_summary(tokens)
    special = summary["special_ids"]
    documents = list(read_documents(tokens))[:max_documents]
    blocks = group_texts(documents, summary["row_tokens"], special["cls"], special["sep"])
    num_text = int((~np.isin(blocks, [special["cls"], special["sep"]])).sum())
    num_all = sum(map(len, documents))
    packing = {
        "num_rows": len(blocks),
        "fill_frac": 1.0,
        "text_frac": num_text / blocks.size,
        "num_dropped_tokens": num_all - num_text,
    }
    return blocks, packing
