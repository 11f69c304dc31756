"""Labels of documents, and whether a column of them groups documents so that it can be learned."""

from collections.abc import Collection
from typing import Any

MIN_DOCUMENTS_PER_CLASS = 5  # fewer on average: the column names documents, it does not group them


def label_of(value: Any) -> str | None:
    """A value of the label column as text; None where a document has none."""
    return None if value is None else str(value)


def why_not_learnable(labels: Collection[str], column: str) -> str | None:
    """Why nobody can learn a column from these labels of training documents; None if one can.

    Args:
        labels: one of each training document that has one.
        column: its name.
    """
    num_classes = len(set(labels))
    if num_classes < 2:
        return f"training documents have {num_classes} distinct values in {column}"
    if len(labels) < MIN_DOCUMENTS_PER_CLASS * num_classes:
        return (
            f"{num_classes} distinct values of {column} over {len(labels)} training documents "
            f"are too many to learn, under {MIN_DOCUMENTS_PER_CLASS} documents each"
        )
    return None
