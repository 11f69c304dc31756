"""Plain sentences about who is better, and whether the numbers bear it."""

import math
from collections.abc import Sequence

from model.retrieval import MeanEstimate
from tasks.evaluate.scores import Difference
from tasks.report.page import format_number
from tasks.system_names import system_label
from tasks.verdict import MIN_QUERIES, Verdict, verdict

PHRASES = {
    Verdict.BEHIND: "behind",
    Verdict.AHEAD: "ahead of",
    Verdict.TIED: "not told apart from",
    Verdict.TOO_FEW: "on too few documents to be told from",
}


def verdict_sentence(differences: Sequence[Difference], measure: str) -> str:
    """Who beats the embedder, whom it beats, and with whom it ties, each with paired intervals.

    Args:
        differences: embedder minus other systems, all on one measure.
        measure: its name for people.
    """
    clauses = [
        f"{phrase} {', '.join(_margin(difference) for difference in of_kind)}"
        for kind, phrase in PHRASES.items()
        if (of_kind := [found for found in differences if verdict(found.estimate) is kind])
    ]
    return (
        f"In {measure} the embedder is {'; '.join(clauses)}. "
        "In brackets: paired 95 % intervals of the difference."
    )


def points_sentence(difference: MeanEstimate, smallest: float) -> str:
    """Whether the embedder is better than one other, in points, which are hundredths.

    Args:
        difference: embedder minus other.
        smallest: true difference that so many documents would show; NaN where all differ alike.

    Returns:
        Such as "better by 2.1 points (0.4 to 3.8)", or "not distinguishable (−1.1 to 2.3 points);
        312 documents can show 4.1 points".
    """
    kind, num = verdict(difference), f"{difference.n:,} documents"
    if kind is Verdict.TOO_FEW:
        return f"not distinguishable: {num} are too few, at least {MIN_QUERIES} are needed"
    if kind is Verdict.TIED:
        shown = f"can show {_points(smallest)} points"
        if math.isnan(smallest):
            shown = "all came out alike, which does not tell what they can show"
        interval = f"{_points(difference.low)} to {_points(difference.high)}"
        return f"not distinguishable ({interval} points); {num} {shown}"
    low, high = sorted((abs(difference.low), abs(difference.high)))
    word = "better" if kind is Verdict.AHEAD else "worse"
    return f"{word} by {_points(abs(difference.value))} points ({_points(low)} to {_points(high)})"


def _points(value: float) -> str:
    return format_number(100 * value, digits=1)


def _margin(difference: Difference) -> str:
    """``TF-IDF by 0.120 (0.090 to 0.150)``, the winner's margin; of a tie only the interval."""
    estimate, other = difference.estimate, system_label(difference.baseline)
    if verdict(estimate) in (Verdict.TIED, Verdict.TOO_FEW):
        return f"{other} ({_range(estimate.low, estimate.high)})"
    low, high = sorted((abs(estimate.low), abs(estimate.high)))
    return f"{other} by {format_number(abs(estimate.value))} ({_range(low, high)})"


def _range(low: float, high: float) -> str:
    return f"{format_number(low)} to {format_number(high)}"
