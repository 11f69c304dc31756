"""The report's section on a treebank: probes of words, of trees, and heads beside relations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tasks.probe.comparison import standing
from tasks.probe.page.figures import series_of
from tasks.probe.page.wording import layer_name, number
from tasks.probe.table import Row, select
from tasks.probe.treebank.grammar import Grammar
from tasks.probe.treebank.tree_probes import CHAIN, HEAD_FOUND, OFFSET, SPEARMAN, UUAS
from tasks.probe.treebank.word_samples import FEATURE
from tasks.report.page import Figure, Section, Table, format_interval, format_number
from tasks.report.plots import Role, line_plot


class Course(NamedTuple):
    """A measure by layer: what it is called, its unit, and what one knows without the encoder."""

    measure: str
    title: str
    y_label: str
    baseline: str | None = None
    baseline_name: str = ""


_TITLES = {"upos": "Part of speech", "deprel": "Relation to the head"}
_TREES = (
    Course(HEAD_FOUND, "Which word is the head?", "share", OFFSET + HEAD_FOUND, "best offset"),
    Course(UUAS, "Edges of the tree, from distances", "share", CHAIN + UUAS, "neighbours joined"),
    Course(SPEARMAN, "Distances in the tree", "rank correlation", CHAIN + SPEARMAN, "word order"),
)


def grammar_section(grammar: Grammar) -> list[Section]:
    """Two sections: what probes read off the layers, and what heads follow by themselves."""
    words = [Course(f"{task}_accuracy", task_title(task), "accuracy") for task in grammar.tasks]
    trees = [one for one in _TREES if select(grammar.layers, one.measure)]
    layers = Section(
        title="What it knows of grammar",
        paragraphs=[
            "Probes on the words of the treebank. A word's state is the mean of its tokens'. "
            f"{_words(grammar)} are used for fitting, choosing and scoring, by seed. Control: each "
            "word type has one random label, so what a probe reaches there it learned by heart; "
            "selectivity is what it reaches beyond that. Compression is how many times shorter "
            "the labels can be told to one who has the states; gain leaves out what the shares of "
            "the classes give away.",
            *(
                [f"{grammar.num_too_long:,} sentences no window holds are left out."]
                if grammar.num_too_long
                else []
            ),
        ],
        blocks=[
            *(course_figure(grammar.layers, one, control=True) for one in words),
            _table(grammar),
            *(course_figure(grammar.layers, one) for one in trees),
        ],
    )
    return [layers, *(_relation_section(grammar) if grammar.relations else [])]


def task_title(task: str) -> str:
    """How a task is called in the report."""
    return _TITLES.get(task) or task.removeprefix(FEATURE)


def grammar_sentences(grammar: Grammar) -> list[str]:
    """Where each thing is best read, and what the last layer and random weights have of it."""
    sentences = []
    for task in grammar.tasks:
        best, last = chosen(grammar.layers, f"{task}_accuracy"), _last(grammar.layers, task)
        random = chosen(grammar.layers, f"random_{task}_accuracy")
        sentences.append(
            f"{task_title(task)} is best read from {layer_name(best.layer)} "
            f"({format_number(best.value)}), {standing(best, random)} "
            f"({format_number(random.value)}); the last layer has {format_number(last.value)}."
        )
    return sentences


def chosen(rows: Sequence[Row], measure: str) -> Row:
    """The test row of the layer that did best on validation; of equals the lowest."""
    best = max(select(rows, measure, split="validation"), key=lambda row: row.value)
    return next(row for row in select(rows, measure, split="test") if row.layer == best.layer)


def course_figure(rows: Sequence[Row], one: Course, *, control: bool = False) -> Figure:
    """A measure by layer beside random weights, the control task and what needs no encoder."""
    systems: list[tuple[str, str, Role]] = [
        ("", "trained", "subject"),
        ("random_", "random weights", "reference"),
    ]
    if control:
        systems.append(("control_", "control task", "control"))
    by_system = {
        label: (role, select(rows, prefix + one.measure, split="test"))
        for prefix, label, role in systems
    }
    level = select(rows, one.baseline, split="test")[0] if one.baseline else None
    return Figure(
        svg=line_plot(
            one.measure,
            [series_of(label, role, own) for label, (role, own) in by_system.items()],
            x=[row.layer for row in by_system["trained"][1]],
            x_label="layer",
            y_label=one.y_label,
            level=(level.value, one.baseline_name) if level else None,
            smallest_span=0.1,
        ),
        title=one.title,
        says=_sentence(rows, one, level),
    )


def _sentence(rows: Sequence[Row], one: Course, level: Row | None) -> str:
    best, random = chosen(rows, one.measure), chosen(rows, f"random_{one.measure}")
    static = chosen(rows, f"word2vec_{one.measure}")
    said = (
        f"{number(best)} from {layer_name(best.layer)}; random weights {number(random)}: "
        f"{standing(best, random)}. Word2Vec: {number(static)}, {standing(best, static, 'it')}."
    )
    if level is not None:
        said += f" {one.baseline_name.capitalize()}: {number(level)}."
    return said


def _table(grammar: Grammar) -> Table:
    rows = []
    for task in grammar.tasks:
        for prefix, system in (
            ("", "trained"),
            ("random_", "random weights"),
            ("word2vec_", "Word2Vec"),
        ):
            best = chosen(grammar.layers, f"{prefix}{task}_accuracy")
            rows.append(
                [
                    task_title(task),
                    system,
                    layer_name(best.layer),
                    number(best, 2),
                    *(
                        _at(grammar.layers, f"{prefix}{task}_{name}", best.layer, digits)
                        for name, digits in (
                            ("unseen_accuracy", 2),
                            ("selectivity", 2),
                            ("compression", 2),
                            ("gain", 2),
                        )
                    ),
                ]
            )
    return Table(
        says="Each system at the layer that did best on validation, scored on test; unseen: words "
        "whose type the probe was not fitted on. Code lengths are of train's labels.",
        columns=[
            "task",
            "system",
            "layer",
            "accuracy",
            "unseen",
            "selectivity",
            "compression",
            "gain",
        ],
        rows=rows,
        num_label_columns=3,
        emphasized=frozenset(range(0, len(rows), 3)),
    )


def _relation_section(grammar: Grammar) -> list[Section]:
    num_beyond = sum(one.is_beyond_offset for one in grammar.relations)
    rows = [
        [
            one.relation,
            f"head {one.head} of layer {one.layer}",
            "to the head" if one.to_head else "to the dependent",
            _interval(one.share),
            f"{one.offset:+d}",
            _interval(one.offset_share),
            f"{one.num_words:,}",
        ]
        for one in grammar.relations
    ]
    return [
        Section(
            title="Which head follows which relation",
            paragraphs=[
                "For each relation the head whose strongest look at another word goes along it "
                "most often, chosen on train and scored on test, beside the best fixed distance. "
                f"{num_beyond} of {len(rows)} heads are beyond the distance and its interval. "
                "Where a head looks does not say that the encoder uses it."
            ],
            blocks=[
                Table(
                    says="Share of the words of a relation, with 95 % intervals over documents",
                    columns=[
                        "relation",
                        "best head",
                        "it looks",
                        "share",
                        "offset",
                        "share",
                        "words",
                    ],
                    rows=rows,
                    num_label_columns=3,
                    emphasized=frozenset(
                        place for place, one in enumerate(grammar.relations) if one.is_beyond_offset
                    ),
                )
            ],
        )
    ]


def _interval(share: object) -> str:
    value, low, high = (float(getattr(share, name)) for name in ("value", "low", "high"))
    return format_interval(value, low, high, digits=2)


def _words(grammar: Grammar) -> str:
    counts: Mapping[str, int] = grammar.num_words
    return ", ".join(f"{count:,} words of {split}" for split, count in counts.items())


def _last(rows: Sequence[Row], task: str) -> Row:
    return select(rows, f"{task}_accuracy", split="test")[-1]


def _at(rows: Sequence[Row], measure: str, layer: int, digits: int) -> str:
    found = [row for row in select(rows, measure) if row.layer == layer]
    return number(found[0], digits) if found else "–"
