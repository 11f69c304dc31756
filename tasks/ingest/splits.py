"""Which split a document belongs to: drawn from its content, or said by a column."""

import hashlib
from typing import Any

import numpy as np

from tasks.corpus import SPLITS

SPELLINGS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def draw_of(content_sha256: bytes, seed: int) -> int:
    """A number below 2**64 for a text: the same for the same text and seed, whatever else the
    corpus holds, in whatever order."""
    digest = hashlib.sha256(seed.to_bytes(8, "little") + content_sha256).digest()
    return int.from_bytes(digest[:8], "little")


def training_draw_of(content: bytes, seed: int) -> int:
    """As `draw_of`, and independent of it: where a training document stands among the others."""
    return draw_of(b"train_frac" + content, seed)


def drawn_splits(
    draws: np.ndarray[Any, np.dtype[np.uint64]], validation_frac: float, test_frac: float
) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Indices into `SPLITS`, int8. A larger fraction keeps what a smaller one had drawn."""
    fractions = draws.astype(np.float64) / 2**64
    splits = np.full(len(draws), SPLITS.index("train"), np.int8)
    splits[fractions >= 1 - validation_frac] = SPLITS.index("validation")
    splits[fractions < test_frac] = SPLITS.index("test")
    return splits


def spelled_split(value: object) -> str | None:
    """The split that a column's value means; None where it means none."""
    return SPELLINGS.get(value.strip().lower()) if isinstance(value, str) else None
