"""What the comparison says: a row a measure, and one sentence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model.drift import Comparison
from tasks.drift.measures import EMBEDDING_DISTANCE, NUMBERS, Measured

MIN_NEW = 8  # fewer documents than this are a handful: any of them decides
MIN_REFERENCE = 20


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure.

    Attributes:
        value: new minus reference, means over documents; of `embedding_distance` the energy
            distance of the vectors.
        low, high: where 95 % of such values lie between parts of the reference.
        threshold: what the value's size must be above for an alarm; the loss and the distance
            count upwards alone.
        share_above: share of the values between parts of the reference that are of no less size.
        new, reference: the means; None of the distance.
        num_documents, num_reference_documents: that were compared.
        alarm: whether it is above.
    """

    measure: str
    value: float
    low: float
    high: float
    threshold: float
    share_above: float
    new: float | None
    reference: float | None
    num_documents: int
    num_reference_documents: int
    alarm: bool


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The stage's answer.

    Attributes:
        num_new_documents: documents with content that was not there when some were last compared.
        num_documents: of them, those that were compared.
        num_reference_documents: with so many.
        too_few: why nothing can be told; empty where something can.
        rows: a row a measure; none where nothing can be told.
    """

    num_new_documents: int
    num_documents: int
    num_reference_documents: int
    too_few: str
    rows: Sequence[Row]

    @property
    def alarm(self) -> bool:
        """Whether any measure is above its threshold."""
        return any(row.alarm for row in self.rows)

    @property
    def says(self) -> str:
        """One line with numbers."""
        if self.too_few:
            return self.too_few
        asked = f"{self.num_documents} new documents beside {self.num_reference_documents}"
        if not self.alarm:
            return f"quiet: {asked} of the reference, no measure above its threshold"
        above = [row for row in self.rows if row.alarm]
        told = ", ".join(f"{r.measure} {r.value:+.4g} (threshold {r.threshold:.4g})" for r in above)
        return f"drift: {asked} of the reference: {told}"

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "alarm": self.alarm,
            "says": self.says,
            "too_few": self.too_few or None,
            "num_new_documents": self.num_new_documents,
            "num_documents": self.num_documents,
            "num_reference_documents": self.num_reference_documents,
            "measures": [asdict(row) for row in self.rows],
        }


def too_few(num_new: int, num_reference: int) -> str:
    """Why so few documents allow no judgement; empty where they allow one.

    Args:
        num_new: new documents that can be compared, at most half of the reference.
        num_reference: documents of the reference.
    """
    if num_reference < MIN_REFERENCE:
        return (
            f"too few to tell: the embedder's corpus has {num_reference} test documents, "
            f"{MIN_REFERENCE} are needed"
        )
    if num_new < MIN_NEW:
        return f"too few to tell: {num_new} new documents, {MIN_NEW} are needed"
    return ""


def rows_of(comparison: Comparison, new: Measured, reference: Measured) -> list[Row]:
    """The table's rows, in the order of `NUMBERS`, the distance last."""
    means = [each.numbers_SX.mean(axis=0).tolist() for each in (new, reference)]
    rows = []
    for k, measure in enumerate((*NUMBERS, EMBEDDING_DISTANCE)):
        low, high = comparison.null_interval(k)
        own = [None, None] if measure == EMBEDDING_DISTANCE else [mean[k] for mean in means]
        rows.append(
            Row(
                measure=measure,
                value=float(comparison.values_K[k]),
                low=low,
                high=high,
                threshold=float(comparison.thresholds_K[k]),
                share_above=float(comparison.shares_above_K[k]),
                new=own[0],
                reference=own[1],
                num_documents=len(new.numbers_SX),
                num_reference_documents=len(reference.numbers_SX),
                alarm=bool(comparison.is_above_K[k]),
            )
        )
    return rows
