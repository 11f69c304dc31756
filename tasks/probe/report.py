"""The probe stage's page."""

from collections.abc import Mapping
from pathlib import Path

from tasks.probe.comparison import Comparison
from tasks.probe.figures import HEAD_FIGURES, LAYER_FIGURES, random_rows
from tasks.probe.findings import Findings
from tasks.probe.probing import MAX_GROUPS as MAX_PROBE_GROUPS
from tasks.probe.sample import SPLIT
from tasks.probe.table import select
from tasks.probe.wording import layer_name, number
from tasks.report.page import Figure, Section, Table, format_number, render_report

Figures = Mapping[str, Figure]


def write_report(findings: Findings, figures: Figures, path: Path) -> None:
    """Write the page as one HTML file."""
    sections = [
        _probe_section(findings, figures),
        _layer_section(findings, figures),
        _head_section(findings, figures),
        _method_section(findings),
    ]
    page = render_report(
        "What each layer and head knows", sections, lead=_lead(findings), facts=_facts(findings)
    )
    path.write_text(page, encoding="utf-8")


def _lead(findings: Findings) -> str:
    if not findings.comparisons:
        return (
            "The held-out text is too little for probes, so nothing here shows what was learned; "
            "the shapes below still describe the encoder."
        )
    return " ".join(
        f"{_task_words(one).capitalize()}: accuracy {format_number(one.trained.value)}, random "
        f"weights {format_number(one.random.value)}; {one.standing}."
        for one in findings.comparisons
    )


def _task_words(comparison: Comparison) -> str:
    return comparison.task.replace("_", " ")


def _facts(findings: Findings) -> dict[str, str]:
    encoder = findings.encoder
    return {
        "Encoder": f"{encoder.num_layers} layers of width {encoder.hidden_size}",
        "Heads per layer": str(encoder.num_heads),
        "Documents looked at": f"{len(findings.sample.documents):,}",
        "Tokens looked at": f"{findings.sample.num_tokens:,}",
        "Probe seeds": ", ".join(map(str, findings.seeds)),
        "Intervals": "95 %",
    }


def _probe_section(findings: Findings, figures: Figures) -> Section:
    paragraphs = [
        "A probe is a linear map from the states of one layer to an answer. Labels are made from "
        "the text itself, half of each. The same probe on an encoder with random weights shows "
        "what the architecture gives for free, and shuffled labels show what a probe can learn "
        "by heart. Where the intervals of trained and random weights overlap, this page says so."
    ]
    paragraphs += [
        f"The corpus is too small for the task {task.replace('_', ' ')}: it is left out."
        for task in findings.omitted
    ]
    blocks: list[Figure | Table] = [figures[one.task] for one in findings.comparisons]
    if findings.comparisons:
        blocks.append(_probe_table(findings))
    return Section(
        title="Does it know more than random weights?", paragraphs=paragraphs, blocks=blocks
    )


def _probe_table(findings: Findings) -> Table:
    rows = []
    for one in findings.comparisons:
        test = findings.examples[one.task]["test"]
        counts = [f"{len(test.labels_E):,}", f"{test.num_documents:,}"]
        systems = {
            "trained": one.trained,
            "random weights": one.random,
            "shuffled labels": one.control,
        }
        rows += [
            [_task_words(one), name, layer_name(row.layer), number(row), *counts]
            for name, row in systems.items()
        ]
    return Table(
        says="Each system at the layer that did best on validation, scored on test. Examples and "
        "documents are those of one seed.",
        columns=["task", "system", "layer", "accuracy", "examples", "documents"],
        rows=rows,
        num_label_columns=3,
        emphasized=frozenset(range(0, len(rows), 3)),
    )


def _layer_section(findings: Findings, figures: Figures) -> Section:
    return Section(
        title="The shape of the layers",
        paragraphs=[
            "These measures need no labels. They describe the space of hidden states; they do not "
            "say that one layer is better than another."
        ],
        blocks=[
            *(figures[measure] for measure in LAYER_FIGURES),
            figures["layer_similarity"],
            _layer_table(findings),
        ],
    )


def _layer_table(findings: Findings) -> Table:
    rows = []
    for measure, style in LAYER_FIGURES.items():
        trained = select(findings.layers, measure)
        random = random_rows(findings, findings.layers, measure)
        rows += [
            [
                style.title,
                layer_name(one.layer),
                number(one, style.digits),
                number(other, style.digits),
            ]
            for one, other in zip(trained, random, strict=True)
        ]
    return Table(
        says="The numbers behind these figures",
        columns=["measure", "layer", "trained", "random weights"],
        rows=rows,
        num_label_columns=2,
        folded=True,
    )


def _head_section(findings: Findings, figures: Figures) -> Section:
    return Section(
        title="What the heads look at",
        paragraphs=[
            "Means over all real tokens as queries. Keys include the special tokens, since heads "
            "attend to them. Attention shows where a head looks, not what the encoder would lose "
            "without it."
        ],
        blocks=[figures[f"head_{measure}"] for measure in HEAD_FIGURES],
    )


def _method_section(findings: Findings) -> Section:
    sample = findings.sample
    return Section(
        title="How it was measured",
        paragraphs=[
            f"Layer and head measures: {len(sample.documents):,} documents drawn from {SPLIT}, "
            f"{sample.num_tokens:,} leading tokens of them, one pass through the encoder in "
            "float32. Special tokens and padding are left out of all layer statistics. Layer 0 is "
            "the embedding output; the last layer is taken after the final norm.",
            f"Their intervals: documents are dealt into {sample.num_groups} groups and each group "
            "is left out in turn (delete-a-group jackknife, Student's t). They cover the choice of "
            "documents, not the chance of training; another training run could differ by more.",
            "Probes: ridge regression onto the labels on standardized means of the states of real "
            "tokens, in closed form. Fitted on documents of train (the encoder was trained on "
            "these, without the labels), strength and layer chosen on validation, scored on test. "
            "Each seed draws its own examples, random weights and shuffled labels.",
            f"Their intervals: the same jackknife over at most {MAX_PROBE_GROUPS} groups of test "
            "documents, with the variance between seeds added (Student's t with Satterthwaite's "
            "degrees of freedom): wide rather than narrow.",
            "Random weights are those that training starts from; such layers change their input "
            "little. Their layer and head measures "
            f"use seed {findings.seeds[0]} alone.",
        ],
    )
