"""The section of the evaluation's page on what each layer of the embedder is worth."""

from collections.abc import Sequence

from tasks.evaluate.report_tables import (
    HEADLINES,
    SmallestDifferences,
    difference_table,
    measure_label,
    rows_of,
)
from tasks.evaluate.scores import HARD_HALF_DOCUMENT, Difference, Score
from tasks.evaluate.verdicts import PHRASES, points_sentence
from tasks.report.page import Figure, Section, format_number
from tasks.report.plots import Estimate, estimate_plot
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, is_layer, layer_system, system_label
from tasks.verdict import verdict

_TASKS = {HALF_DOCUMENT: "halves", HARD_HALF_DOCUMENT: "without shared rare words"}


def layer_sentence(differences: Sequence[Difference], smallest: SmallestDifferences) -> str:
    """Which layer the embedder reads, and what that is worth against the last if it is another.

    Args:
        differences: embedder minus its other layers, and others.
        smallest: true differences that so many queries would show.
    """
    measure = HEADLINES[HALF_DOCUMENT]
    beside = {each.baseline: each for each in rows_of(differences, HALF_DOCUMENT, measure)}
    own, last = _own_layer(list(beside)), _last_layer(list(beside))
    if own == last:
        which = f"the last of its {last} layers" if last > 1 else "its one layer"
        return f"The embedder reads its vectors off {which}."
    against = beside[layer_system(last)].estimate
    worth = points_sentence(against, smallest[HALF_DOCUMENT, measure, layer_system(last)])
    return (
        f"The embedder reads its vectors off layer {own} of {last}, which validation documents "
        f"chose; against the last layer, in {measure_label(measure)} on test documents, it is "
        f"{worth}."
    )


def layer_section(
    scores: Sequence[Score], differences: Sequence[Difference], smallest: SmallestDifferences
) -> Section:
    """Scores by layer with their intervals, and how far the embedder is above each."""
    of_layers = [each for each in differences if is_layer(each.baseline)]
    return Section(
        title="What each layer is worth",
        paragraphs=[
            layer_sentence(differences, smallest),
            "Each row below is the embedder cut after another layer: those above it dropped, the "
            "final norm and the tokens' weights kept. Layer 0 is the tokens' vectors without any "
            "layer, which no file of an encoder can be. All come from the embedder's own pass over "
            "the text. The setting tune.layer says which layer is read; with best, validation "
            "documents choose it, and these test documents have no say.",
        ],
        blocks=[
            *(_figure(scores, of_layers, task) for task in _TASKS),
            difference_table(of_layers, smallest),
        ],
    )


def _figure(scores: Sequence[Score], of_layers: Sequence[Difference], task: str) -> Figure:
    measure = HEADLINES[task]
    label = measure_label(measure)
    rows = {
        score.system: score
        for score in rows_of(scores, task, measure)
        if score.system == EMBEDDER or is_layer(score.system)
    }
    own = _own_layer(list(rows))
    ordered = [
        rows.get(layer_system(layer), rows[EMBEDDER])
        for layer in range(_last_layer(list(rows)) + 1)
    ]
    return Figure(
        svg=estimate_plot(
            f"layers-{task}",
            [_estimate(score, own) for score in ordered],
            x_label=label,
            limits=(-0.02, 1.02),
        ),
        title=f"{label} by layer, {_TASKS[task]}",
        says=_verdicts(rows_of(of_layers, task, measure), label),
        note="Bars are 95 % bootstrap intervals over the queries; ahead and behind are said where "
        "the paired interval of the difference excludes zero.",
    )


def _estimate(score: Score, own: int) -> Estimate:
    is_own = score.system == EMBEDDER
    name = system_label(layer_system(own) if is_own else score.system)
    return Estimate(
        label=f"{name}  {format_number(score.estimate.value)}",
        value=score.estimate.value,
        low=score.estimate.low,
        high=score.estimate.high,
        role="subject" if is_own else "control",
    )


def _verdicts(differences: Sequence[Difference], label: str) -> str:
    """ "In recall@1 the embedder is ahead of layer 0, layer 1; not told apart from layer 2." """
    clauses = [
        f"{phrase} {', '.join(system_label(each.baseline) for each in of_kind)}"
        for kind, phrase in PHRASES.items()
        if (of_kind := [each for each in differences if verdict(each.estimate) is kind])
    ]
    return f"In {label} the embedder is {'; '.join(clauses)}."


def _own_layer(systems: Sequence[str]) -> int:
    """The embedder's: the one layer that has no row, since the embedder's row is its."""
    layer = 0
    while layer_system(layer) in systems:
        layer += 1
    return layer


def _last_layer(systems: Sequence[str]) -> int:
    return sum(map(is_layer, systems))  # the others and the embedder's own, counted from 0
