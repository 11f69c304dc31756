"""Which split a document belongs to: drawn from its content, or said by a column."""

import hashlib

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


def draw_split(
    content_sha256: bytes, *, seed: int, validation_frac: float, test_frac: float
) -> str:
    """The split of a text. The same text and seed always get the same one, whatever else the
    corpus holds, in whatever order; a larger fraction keeps what a smaller one had drawn."""
    digest = hashlib.sha256(seed.to_bytes(8, "little") + content_sha256).digest()
    fraction = int.from_bytes(digest[:8], "little") / 2**64
    if fraction < test_frac:
        return "test"
    return "validation" if fraction >= 1 - validation_frac else "train"


def spelled_split(value: object) -> str | None:
    """The split that a column's value means; None where it means none."""
    return SPELLINGS.get(value.strip().lower()) if isinstance(value, str) else None
