"""The probe report's figures, each with the sentence it says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.probe.ablation import ABLATION_LOSS
from tasks.probe.comparison import Comparison
from tasks.probe.findings import Findings
from tasks.probe.layers import NUM_TOP_DIMENSIONS, cka_name
from tasks.probe.masked_loss import LOSS, UNIGRAM
from tasks.probe.over_time import StepRow, draw_course
from tasks.probe.page.wording import (
    TASK_NOTES,
    TASK_TITLES,
    ablation_sentence,
    course_of_training_sentence,
    course_sentence,
    guess_sentence,
    heads_sentence,
    likeness_sentence,
    probe_sentence,
)
from tasks.probe.table import Row, select
from tasks.report.page import Figure
from tasks.report.plots import Role, Series, heat_map, line_plot


@dataclass(frozen=True, kw_only=True)
class LayerFigure:
    """How a layer measure is shown.

    Attributes:
        title: heading.
        y_label: what the axis counts.
        digits: decimals in sentences and tables.
        smallest_span: the axis covers at least so much.
        note: what the measure means.
    """

    title: str
    y_label: str
    note: str
    digits: int = 3
    smallest_span: float = 0.2


@dataclass(frozen=True, kw_only=True)
class HeadFigure:
    """How a head measure is shown: heading, unit, and decimals in sentences."""

    title: str
    unit: str
    digits: int = 2


LAYER_FIGURES = {
    "anisotropy": LayerFigure(
        title="Anisotropy",
        y_label="mean cosine",
        note="Mean cosine of two tokens of different types: 0 when states spread evenly, 1 when "
        "all point one way. Dotted: without the dimensions that add most to it.",
    ),
    "self_similarity_adjusted": LayerFigure(
        title="Self-similarity, less anisotropy",
        y_label="mean cosine",
        note="Mean cosine of two occurrences of a token, minus anisotropy. Lower means that "
        "context changes a token more. In the embeddings every occurrence is the same.",
    ),
    "explained_variance_adjusted": LayerFigure(
        title="Explained by one vector, beyond chance",
        y_label="share",
        note="How much of the states of one token type the best single vector explains (maximum "
        "explainable variance), minus the same for as many random tokens. What a static vector "
        "could keep of them.",
    ),
    "intra_sentence_similarity_adjusted": LayerFigure(
        title="Similarity within sentences, less anisotropy",
        y_label="mean cosine",
        note="Mean cosine of a token to the mean of its sentence, minus anisotropy. Higher means "
        "that the tokens of a sentence become alike.",
    ),
    "effective_rank": LayerFigure(
        title="Effective rank",
        y_label="dimensions",
        note="Exponential of the entropy of the covariance's eigenvalues: how many directions "
        "the states really use.",
        digits=1,
        smallest_span=10.0,
    ),
    "residual_update": LayerFigure(
        title="Residual update",
        y_label="relative change",
        note="Length of a layer's change over the length of what it was given. The last layer's "
        "includes the final norm.",
    ),
    "residual_cosine": LayerFigure(
        title="Direction kept",
        y_label="mean cosine",
        note="Cosine of a token's state before and after the layer: 1 when the layer only "
        "rescales it.",
    ),
}
HEAD_FIGURES = {
    "entropy": HeadFigure(title="Entropy of attention", unit="nats"),
    "distance": HeadFigure(title="Mean distance", unit="tokens"),
    "share_previous": HeadFigure(title="Attention on the token before", unit="share", digits=3),
    "share_next": HeadFigure(title="Attention on the token after", unit="share", digits=3),
    "share_self": HeadFigure(title="Attention on the token itself", unit="share", digits=3),
    "share_special": HeadFigure(title="Attention on special tokens", unit="share", digits=3),
}


COURSES = {
    LOSS: ("Masked-token loss", "nats"),
    "anisotropy": ("Anisotropy", "mean cosine"),
    "self_similarity_adjusted": ("Self-similarity, less anisotropy", "mean cosine"),
    "effective_rank": ("Effective rank", "dimensions"),
}


def draw_figures(findings: Findings) -> dict[str, Figure]:
    """All figures by file name, without the ending."""
    figures = {one.task: _probe_figure(findings, one) for one in findings.comparisons}
    figures |= {
        measure: _layer_figure(findings, measure)
        for measure in LAYER_FIGURES
        if select(findings.layers, measure)
    }
    figures["layer_similarity"] = _similarity_figure(findings)
    figures |= {f"head_{measure}": _head_figure(findings, measure) for measure in HEAD_FIGURES}
    if findings.guessing is not None:
        figures["masked_loss"] = _loss_figure(findings)
        figures["head_ablation"] = _ablation_figure(findings)
        figures |= _course_figures(findings, findings.guessing.steps)
    return figures


def random_rows(findings: Findings, rows: Sequence[Row], measure: str) -> list[Row]:
    """The random-weights rows of a measure without labels; they stand under the first seed."""
    return select(rows, f"random_{measure}", seed=findings.seeds[0])


def _probe_figure(findings: Findings, comparison: Comparison) -> Figure:
    measure = f"{comparison.task}_accuracy"
    systems: list[tuple[str, str, Role]] = [
        ("", "trained", "subject"),
        ("random_", "random weights", "reference"),
        ("control_", "shuffled labels", "control"),
    ]
    series = [
        series_of(label, role, select(findings.layers, prefix + measure, split="test"))
        for prefix, label, role in systems
    ]
    return Figure(
        svg=line_plot(
            comparison.task,
            series,
            x=_layers(findings),
            x_label="layer",
            y_label="accuracy",
            level=(comparison.chance, "chance"),
            smallest_span=0.2,
        ),
        title=TASK_TITLES[comparison.task],
        says=probe_sentence(comparison),
        note=TASK_NOTES[comparison.task],
    )


def _layer_figure(findings: Findings, measure: str) -> Figure:
    style = LAYER_FIGURES[measure]
    trained = select(findings.layers, measure)
    random = random_rows(findings, findings.layers, measure)
    series = [
        series_of("trained", "subject", trained),
        series_of("random weights", "reference", random),
    ]
    if measure == "anisotropy":
        rest = select(findings.layers, "anisotropy_without_top_dimensions")
        label = f"trained, without top {NUM_TOP_DIMENSIONS}"
        series += [series_of(label, "control", rest)] if rest else []
    return Figure(
        svg=line_plot(
            measure,
            series,
            x=[row.layer for row in trained],
            x_label="layer",
            y_label=style.y_label,
            smallest_span=style.smallest_span,
        ),
        title=style.title,
        says=course_sentence(trained, random, style.digits),
        note=style.note,
    )


def _similarity_figure(findings: Findings) -> Figure:
    layers = _layers(findings)
    matrix = np.eye(len(layers))
    for other in layers:
        for row in select(findings.layers, cka_name(other)):
            matrix[row.layer, other] = row.value
    return Figure(
        svg=heat_map(
            "layer_similarity",
            matrix,
            rows=layers,
            columns=layers,
            row_label="layer",
            column_label="layer",
            colour_label="CKA",
            limits=(0.0, 1.0),
        ),
        title="Similarity of layers",
        says=likeness_sentence(
            select(findings.layers, "cka_previous_layer"),
            select(findings.layers, cka_name(0))[-1],
        ),
        note="Linear centred kernel alignment, unbiased estimate: 1 when one layer is the other "
        "rotated and scaled, near 0 when they are unrelated.",
    )


def _head_figure(findings: Findings, measure: str) -> Figure:
    style = HEAD_FIGURES[measure]
    trained = select(findings.heads, measure)
    random = random_rows(findings, findings.heads, measure)
    layers, heads = _layers(findings)[1:], list(range(findings.encoder.num_heads))
    by_layer = np.array([row.value for row in trained]).reshape(len(layers), len(heads))
    return Figure(
        svg=heat_map(
            f"head_{measure}",
            by_layer.T,
            rows=heads,
            columns=layers,
            row_label="head",
            column_label="layer",
            colour_label=style.unit,
            limits=(0.0, max(0.1, by_layer.max())),
        ),
        title=style.title,
        says=heads_sentence(trained, random, style.digits),
    )


def _loss_figure(findings: Findings) -> Figure:
    losses = select(findings.layers, LOSS)
    (unigram,) = select(findings.layers, UNIGRAM + LOSS)
    return Figure(
        svg=line_plot(
            LOSS,
            [series_of("trained", "subject", losses)],
            x=_layers(findings),
            x_label="layer",
            y_label="nats",
            level=(unigram.value, "frequency alone"),
        ),
        title="Masked-token loss, read off each layer",
        says=guess_sentence(losses, unigram),
        note="The states of each layer go through the final norm and the model's own head. It was "
        "trained on the last layer only, so lower layers may know more than it can read.",
    )


def _ablation_figure(findings: Findings) -> Figure:
    heads = select(findings.heads, ABLATION_LOSS)
    by_layer = np.array([row.value for row in heads]).reshape(-1, findings.encoder.num_heads)
    return Figure(
        svg=heat_map(
            "head_ablation",
            by_layer.T,
            rows=list(range(findings.encoder.num_heads)),
            columns=_layers(findings)[1:],
            row_label="head",
            column_label="layer",
            colour_label="nats",
            limits=(min(0.0, by_layer.min()), max(0.01, by_layer.max())),
        ),
        title="Loss when the head is taken out",
        says=ablation_sentence(heads),
        note="Masked-token loss without the head, less that with all heads, on the same gaps. One "
        "head at a time: what two do together does not show.",
    )


def _course_figures(findings: Findings, steps: Sequence[StepRow]) -> dict[str, Figure]:
    """How measures came about; none where there are no checkpoints."""
    if not steps:
        return {}
    (unigram,) = select(findings.layers, UNIGRAM + LOSS)
    levels = {LOSS: (unigram.value, "frequency alone")}
    return {
        f"course_{measure}": Figure(
            svg=draw_course(steps, measure, y_label=y_label, level=levels.get(measure)),
            title=title,
            says=course_of_training_sentence(steps, measure),
        )
        for measure, (title, y_label) in COURSES.items()
    }


def _layers(findings: Findings) -> list[int]:
    return list(range(findings.encoder.num_layers + 1))


def series_of(label: str, role: Role, rows: Sequence[Row]) -> Series:
    """One line of a figure, from the rows of a measure by layer."""
    return Series(
        label=label,
        values=[row.value for row in rows],
        low=[row.low for row in rows],
        high=[row.high for row in rows],
        role=role,
    )
