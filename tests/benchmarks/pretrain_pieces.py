"""Asks a model of transformers what was masked in pieces that `pretrain_ours.py` dumped.

Letters: L tokens of a piece.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Piece = dict[str, NDArray[np.int64]]

EVALUATED_TOKENS = 8192  # of padded pieces at once


def read_pieces(path: Path) -> list[Piece]:
    """Masked pieces as pretrain_ours.py dumps them: seen ids, labels (-100 where nothing is asked)
    and bytes of each piece, int64 [L]."""
    with np.load(path) as dumped:
        flat = {name: dumped[name].astype(np.int64) for name in ("seen", "labels", "label_bytes")}
        ends = dumped["ends"]
    parts = {name: np.split(values, ends[:-1]) for name, values in flat.items()}
    return [dict(zip(parts, piece, strict=True)) for piece in zip(*parts.values(), strict=True)]


def padded_batches(pieces: Sequence[Piece], pad_id: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of pieces of like length, each piece in a row of its own."""
    fill = {"seen": pad_id, "labels": -100, "label_bytes": 0}
    ordered = sorted(pieces, key=lambda piece: -len(piece["seen"]))
    while ordered:
        longest = len(ordered[0]["seen"])
        num_rows = max(1, EVALUATED_TOKENS // longest)
        rows, ordered = ordered[:num_rows], ordered[num_rows:]
        yield {
            name: torch.from_numpy(
                np.stack([np.pad(row[name], (0, longest - len(row[name])),
                                 constant_values=value) for row in rows])
            )
            for name, value in fill.items()
        } | {"lengths": torch.tensor([len(row["seen"]) for row in rows])}  # fmt: skip


@torch.inference_mode()
def evaluate(
    model: Any, pieces: Sequence[Piece], *, autocast: bool, sparse: bool = True
) -> dict[str, float]:
    """Nats a masked token and bits a byte of masked text; sums run in float64.

    With `sparse`, scores of other places are not computed; else as in run_mlm.py's default.
    """
    was_sparse, was_training = model.sparse_prediction, model.training
    model.sparse_prediction = sparse
    model.eval()
    loss, num_targets, num_bytes = 0.0, 0, 0
    for batch in padded_batches(pieces, model.config.pad_token_id):
        places_L = torch.arange(batch["seen"].shape[1])
        attention_mask = (places_L < batch["lengths"][:, None]).long()
        count = int((batch["labels"] >= 0).sum())
        if count:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                mean = model(batch["seen"], attention_mask, labels=batch["labels"]).loss
            loss += float(mean.double()) * count
        num_targets += count
        num_bytes += int(batch["label_bytes"].sum())
    model.sparse_prediction = was_sparse
    model.train(was_training)
    return {
        "loss": loss / num_targets,
        "bits_per_byte": loss / np.log(2) / num_bytes,
        "num_targets": num_targets,
    }
