"""Sections of the evaluation's page on the embedders of other runs."""

from collections.abc import Iterator, Sequence

from tasks.evaluate.comparison import Comparison
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.report_tables import HEADLINES, measure_label, rows_of
from tasks.evaluate.scores import HARD_HALF_DOCUMENT, Difference
from tasks.evaluate.verdicts import points_sentence
from tasks.report.page import Figure, Section, Table, format_interval, format_number
from tasks.report.plots import Estimate, estimate_plot
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, system_label

_TASKS = {HALF_DOCUMENT: "halves", HARD_HALF_DOCUMENT: "without shared rare words"}


def comparison_sentence(found: Comparison) -> str:
    """The headline: recall@1 of the halves, beside one other embedder."""
    [difference] = rows_of(found.differences, HALF_DOCUMENT, HEADLINES[HALF_DOCUMENT])
    who, num = system_label(found.asked.name), f"{difference.estimate.n:,}"
    return (
        f"Beside {who}, in recall@1 on the {num} documents that are test for both, the embedder is "
        f"{_verdict(found, difference)}."
    )


def comparison_sections(found: Sequence[Comparison], config: EvaluateConfig) -> Iterator[Section]:
    """One for each other embedder."""
    for each in found:
        yield Section(
            title=f"Beside {system_label(each.asked.name)}",
            paragraphs=[_who_is_asked(each, config), _how_it_is_done(config)],
            blocks=[*(_figure(each, task) for task in _TASKS), _table(each)],
        )


def _who_is_asked(found: Comparison, config: EvaluateConfig) -> str:
    common, halves = found.asked.common, found.asked.halves
    text = f"{common.num_common:,} common test documents"
    if common.num_learned:
        text += (
            f"; {common.num_learned:,} more are known to the other from training (its train or "
            "validation split) and left out"
        )
    if common.num_unknown:
        text += f"; {common.num_unknown:,} more are not in its corpus and left out"
    text += "."
    if halves.num_too_short:
        text += (
            f" {halves.num_too_short:,} of the common ones have fewer than {2 * config.min_words} "
            "words."
        )
    if halves.num_not_sampled:
        text += (
            f" Of the rest, a seeded sample of {config.max_queries:,} was taken "
            "(evaluate.max_queries)."
        )
    return (
        f"{text} Documents are found by the hash of their text, so one that the other learned in "
        "slightly other words is not known for it."
    )


def _how_it_is_done(config: EvaluateConfig) -> str:
    return (
        "Both embedders, each at its whole width, rank the halves of these documents and no other, "
        "so the scores are not those of the sections above. Differences are ours minus theirs, "
        f"document by document, with bootstrap intervals over documents ({config.num_resamples:,} "
        "resamples, the same for both). Shown from: the smallest true difference that a two-sided "
        "test at 5 % would find in four of five samples of so many documents; what is not "
        "distinguishable and below it is no proof of equality. Rare words are those that few of "
        "our training documents have."
    )


def _figure(found: Comparison, task: str) -> Figure:
    measure = HEADLINES[task]
    [difference] = rows_of(found.differences, task, measure)
    label, name = measure_label(measure), found.asked.name
    estimates = [
        Estimate(
            label=f"{system_label(score.system)}  {format_number(score.estimate.value)}",
            value=score.estimate.value,
            low=score.estimate.low,
            high=score.estimate.high,
            role="subject" if score.system == EMBEDDER else "reference",
        )
        for score in rows_of(found.scores, task, measure)
    ]
    return Figure(
        svg=estimate_plot(f"{name}-{task}", estimates, x_label=label, limits=(-0.02, 1.02)),
        title=f"{label}, {_TASKS[task]}",
        says=f"The embedder is {_verdict(found, difference)}.",
        note="Bars are 95 % bootstrap intervals over the common documents; better and worse are "
        "said where the paired interval of the difference excludes zero.",
    )


def _table(found: Comparison) -> Table:
    scores = {(each.system, each.task, each.measure): each.estimate for each in found.scores}
    rows = []
    for each in found.differences:
        estimates = [
            *(scores[system, each.task, each.measure] for system in (EMBEDDER, each.baseline)),
            each.estimate,
        ]
        rows.append(
            [
                f"{measure_label(each.measure)}, {_TASKS[each.task]}",
                *(format_interval(one.value, one.low, one.high) for one in estimates),
                format_number(found.smallest_of(each)),
            ]
        )
    return Table(
        says=f"Both on the same documents, n = {found.asked.halves.num_queries:,}, with 95 % "
        "intervals; higher is better.",
        columns=["measure", "embedder", system_label(found.asked.name), "difference", "shown from"],
        rows=rows,
    )


def _verdict(found: Comparison, difference: Difference) -> str:
    return points_sentence(difference.estimate, found.smallest_of(difference))
