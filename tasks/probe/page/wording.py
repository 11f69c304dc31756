"""Sentences about measured numbers; each says its interval and what it cannot tell."""

from collections.abc import Sequence
from itertools import pairwise

from tasks.probe.comparison import Comparison, standing
from tasks.probe.over_time import StepRow
from tasks.probe.table import Row
from tasks.report.page import format_interval, format_number

TASK_TITLES = {
    "bigram_shift": "Were two neighbouring tokens exchanged?",
    "same_document": "Are two windows from one document?",
    "sentence_length": "How long is this sentence?",
    "word_content": "Which of a few words is in this window?",
    "sentence_order": "Are two sentences in their order?",
}
TASK_NOTES = {
    "bigram_shift": "The mean of layer 0 holds the same tokens either way, so it can only guess; "
    "what rises above chance is knowledge of order.",
    "same_document": "Shared words give much of the answer away, so random weights score too; only "
    "what lies above them was learned.",
    "sentence_length": "In which quarter of all lengths, counted in tokens, without the token that "
    "ends it. A mean of states has forgotten how many there were, so what tells is what long "
    "sentences are made of, or a trace of positions.",
    "word_content": "Tokens of middle frequency, and windows with one of them. The mean of layer 0 "
    "has the word in it; upper layers may give it up for its meaning.",
    "sentence_order": "Two consecutive sentences read as one sequence, exchanged in half of the "
    "examples. The mean of layer 0 holds the same tokens either way, so it can only guess.",
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
        f"{comparison.standing}. Word2Vec: {number(comparison.static)}, "
        f"{standing(trained, comparison.static, 'it')}. Shuffled labels: {number(control)}, chance "
        f"{format_number(comparison.chance, 2)}."
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


def guess_sentence(losses: Sequence[Row], unigram: Row) -> str:
    """How the masked loss falls from layer to layer, and what frequency alone reaches."""
    first, last = losses[0], losses[-1]
    falls = [before.value - after.value for before, after in pairwise(losses)]
    most = falls.index(max(falls)) + 1
    return (
        f"From {number(first, 2)} nats in {layer_name(first.layer)} to {number(last, 2)} in "
        f"{layer_name(last.layer)}; the largest fall is in layer {most}. Who knows only how "
        f"frequent tokens are needs {number(unigram, 2)}."
    )


def course_of_training_sentence(steps: Sequence[StepRow], measure: str) -> str:
    """Where the first and the last checkpoint have the measure's last layer."""
    layer = max(row.layer for row in steps if row.measure == measure and row.head is None)
    own = sorted(
        (row for row in steps if row.measure == measure and row.layer == layer),
        key=lambda row: row.step,
    )
    first, last = own[0], own[-1]
    return (
        f"{layer_name(layer).capitalize()}: from {number(first)} after {first.step:,} updates to "
        f"{number(last)} after {last.step:,}."
    )


def ablation_sentence(heads: Sequence[Row]) -> str:
    """Which head is missed most, and how many are missed at all."""
    most = max(heads, key=lambda row: row.value)
    num_missed = sum(row.low > 0 for row in heads)
    num_better = sum(row.high < 0 for row in heads)
    return (
        f"Missed most: {_head_name(most)}, {number(most)} nats. Without {num_missed} of "
        f"{len(heads)} heads the model is worse beyond the interval, without {num_better} better; "
        f"the others are not distinguishable from 0."
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
