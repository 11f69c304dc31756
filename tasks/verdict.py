"""What a paired difference allows to say of the embedder."""

from enum import StrEnum

from model.retrieval import MeanEstimate

MIN_QUERIES = 30  # with fewer, resampling them says little about others


class Verdict(StrEnum):
    """Of the embedder beside another system."""

    BEHIND = "behind"
    AHEAD = "ahead"
    TIED = "not told apart"
    TOO_FEW = "too few"


def verdict(difference: MeanEstimate) -> Verdict:
    """The verdict on embedder minus other: a winner only where the paired interval excludes 0."""
    if difference.n < MIN_QUERIES:
        return Verdict.TOO_FEW
    if not difference.excludes_zero:
        return Verdict.TIED
    return Verdict.AHEAD if difference.value > 0 else Verdict.BEHIND
