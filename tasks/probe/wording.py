"""Sentences about measured numbers; each says its interval and what it cannot tell."""

from collections.abc import Sequence

from tasks.probe.comparison import Comparison, standing
from tasks.probe.table import Row
from tasks.report.page import format_interval, format_number

TASK_TITLES = {
    "bigram_shift": "Were two neighbouring tokens exchanged?",
    "same_document": "Are two windows from one document?",
}
TASK_NOTES = {
    "bigram_shift": "The mean of layer 0 holds the same tokens either way, so it can only guess; "
    "what rises above chance is knowledge of order.",
    "same_document": "Shared words give much of the answer away, so random weights score too; only "
    "what lies above them was learned.",
}


def layer_name(layer: int) -> str:
    """How a layer is called in a sentence."""
    return f"layer {layer}" if layer else "the embeddings"


def number(row: Row, digits: int = 3) -> str:
    """A row's value with its interval."""
    return format_interval(row.value, row.low, row.high, digits=digits)


def probe_sentence(comparison: Comparison) -> str:
    """A task's outcome: trained, random, control, and what follows."""
    trained, random, control = comparison.trained, comparison.random, comparison.control
    return (
        f"Right in {number(trained)} of test examples from {layer_name(trained.layer)}; random "
        f"weights reach {number(random)} from {layer_name(random.layer)}: "
        f"{comparison.standing}. Shuffled labels: {number(control)}, chance 0.5."
    )


def course_sentence(trained: Sequence[Row], random: Sequence[Row], digits: int = 3) -> str:
    """How a layer measure goes from its first to its last layer, and where random weights end."""
    first, last = trained[0], trained[-1]
    return (
        f"From {number(first, digits)} in {layer_name(first.layer)} to {number(last, digits)} in "
        f"{layer_name(last.layer)}; there random weights give {number(random[-1], digits)}: "
        f"{standing(last, random[-1])}."
    )


def likeness_sentence(neighbours: Sequence[Row], ends: Row) -> str:
    """Which neighbouring layers differ most, and how alike the two ends are."""
    least = min(neighbours, key=lambda row: row.value)
    return (
        f"The largest break between neighbours is into {layer_name(least.layer)} "
        f"({number(least)}); embeddings and last layer: {number(ends)}."
    )


def heads_sentence(trained: Sequence[Row], random: Sequence[Row], digits: int) -> str:
    """The two extreme heads of a measure, and how many heads leave the range of random ones."""
    low, high = (choose(trained, key=lambda row: row.value) for choose in (min, max))
    floor, ceiling = min(row.low for row in random), max(row.high for row in random)
    outside = sum(row.low > ceiling or row.high < floor for row in trained)
    return (
        f"Least: {number(low, digits)}, {_head_name(low)}; most: {number(high, digits)}, "
        f"{_head_name(high)}. {outside} of {len(trained)} heads lie outside the range of random "
        f"weights ({format_number(floor, digits)} to {format_number(ceiling, digits)})."
    )


def _head_name(row: Row) -> str:
    return f"head {row.head} of layer {row.layer}"
