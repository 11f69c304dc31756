"""Figures and tables of one task's scores, for the evaluation's page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from tasks.evaluate.scores import (
    CLASSIFICATION,
    GEOMETRY,
    HARD_HALF_DOCUMENT,
    RELEVANCE,
    SIMILARITY_PAIRS,
    Difference,
    Score,
)
from tasks.evaluate.verdicts import verdict_sentence
from tasks.report.page import Figure, Table, format_interval, format_number
from tasks.report.plots import Estimate, Role, estimate_plot
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, system_label
from tasks.verdict import verdict

HEADLINES = {
    HALF_DOCUMENT: "recall_at_1",
    HARD_HALF_DOCUMENT: "recall_at_1",
    CLASSIFICATION: "accuracy",
    SIMILARITY_PAIRS: "spearman",
    RELEVANCE: "ndcg_at_10",
}
_MEASURES = {
    "recall_at_1": "recall@1",
    "recall_at_10": "recall@10",
    "mrr": "MRR",
    "ndcg_at_10": "nDCG@10",
    "accuracy": "accuracy",
    "knn_accuracy": "by neighbours",
    "spearman": "rank correlation",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "effective_rank": "effective rank",
}
_CONTROLS = ("bag", "pretrained", "untrained")
SmallestDifferences = Mapping[tuple[str, str, str], float]  # by task, measure and baseline
Row = TypeVar("Row", Score, Difference)


def measure_label(measure: str) -> str:
    """A measure's name for people: ``accuracy_at_16_labels`` is "accuracy, 16 labels a class"."""
    if measure in _MEASURES:
        return _MEASURES[measure]
    return f"accuracy, {measure.split('_')[2]} labels a class"


def rows_of(rows: Sequence[Row], task: str, measure: str) -> list[Row]:
    """Those of one measure of one task."""
    return [row for row in rows if row.task == task and row.measure == measure]


def task_blocks(
    scores: Sequence[Score],
    differences: Sequence[Difference],
    task: str,
    smallest: SmallestDifferences,
) -> Iterator[Figure | Table]:
    """The headline as a picture, then all scores, then all differences, folded.

    Args:
        smallest: true differences that so many queries would show.
    """
    headline = HEADLINES[task]
    label = measure_label(headline)
    low = -1.02 if task == SIMILARITY_PAIRS else -0.02
    yield Figure(
        svg=estimate_plot(
            f"{task}-{headline}",
            [_estimate(score) for score in rows_of(scores, task, headline)],
            x_label=label,
            limits=(low, 1.02),
        ),
        title=f"{label} of each system",
        says=verdict_sentence(rows_of(differences, task, headline), label),
        note="Bars are 95 % bootstrap intervals over the queries. Two that overlap may still "
        "differ: ahead and behind are said where the paired interval of the difference, taken "
        "query by query, excludes zero.",
        wide=True,
    )
    yield score_table([score for score in scores if score.task == task])
    yield difference_table(
        [difference for difference in differences if difference.task == task], smallest
    )


def score_table(scores: Sequence[Score]) -> Table:
    """A row a system, a column a measure; all scores of one task."""
    measures = list(dict.fromkeys(score.measure for score in scores))
    systems = list(dict.fromkeys(score.system for score in scores))
    cells = {
        (score.system, score.measure): format_interval(
            score.estimate.value, score.estimate.low, score.estimate.high
        )
        for score in scores
    }
    direction = "" if scores[0].task == GEOMETRY else "; higher is better"
    return Table(
        says=f"Scores with 95 % intervals, n = {scores[0].estimate.n:,} each{direction}.",
        columns=["system", *map(measure_label, measures)],
        rows=[
            [system_label(system), *(cells[system, measure] for measure in measures)]
            for system in systems
        ],
        emphasized=frozenset({systems.index(EMBEDDER)}),
    )


def difference_table(differences: Sequence[Difference], smallest: SmallestDifferences) -> Table:
    """How far the embedder is above other systems, folded."""
    rows = [
        [
            system_label(difference.baseline),
            measure_label(difference.measure),
            verdict(difference.estimate),
            format_interval(
                difference.estimate.value, difference.estimate.low, difference.estimate.high
            ),
            _shown_from(difference, smallest),
        ]
        for difference in differences
    ]
    return Table(
        says="The embedder minus each other system on the same queries, with paired intervals, and "
        "the smallest true difference that so many queries would show in four of five samples.",
        columns=["beside", "measure", "the embedder is", "difference", "shown from"],
        rows=rows,
        num_label_columns=3,
        folded=True,
    )


def _shown_from(difference: Difference, smallest: SmallestDifferences) -> str:
    key = difference.task, difference.measure, difference.baseline
    return format_number(smallest[key]) if key in smallest else ""


def _estimate(score: Score) -> Estimate:
    number = format_number(score.estimate.value)
    return Estimate(
        label=f"{system_label(score.system)}  {number}",
        value=score.estimate.value,
        low=score.estimate.low,
        high=score.estimate.high,
        role=_role(score.system),
    )


def _role(system: str) -> Role:
    if system.startswith(EMBEDDER):
        return "subject"
    return "control" if system in _CONTROLS else "reference"
