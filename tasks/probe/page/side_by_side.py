"""The report's sections on other encoders: each set beside this one, in curves, table and words."""

from collections.abc import Iterator, Mapping, Sequence

from tasks.probe.basis import other_corpora, other_tokenizers
from tasks.probe.beside import THIS, Pair, SideBySide, Standing
from tasks.probe.masked_loss import ACCURACY, LOSS
from tasks.probe.other_encoders import Probed
from tasks.probe.page.figures import LAYER_FIGURES
from tasks.probe.page.grammar_page import task_title
from tasks.probe.page.wording import layer_name, number
from tasks.probe.self_labelled import TASKS
from tasks.probe.table import Row, select
from tasks.probe.treebank.tree_probes import HEAD_FOUND, SPEARMAN, UUAS
from tasks.report.depth_plot import DepthCurve, depth_plot
from tasks.report.page import Figure, Section, Table, format_number
from tasks.system_names import OTHER_PREFIX

_TITLES = {
    HEAD_FOUND: "Head of the word",
    UUAS: "Edges of the tree",
    SPEARMAN: "Distances in the tree",
    LOSS: "Masked-token loss",
    ACCURACY: "Masked tokens guessed",
    "anisotropy_without_top_dimensions": "Anisotropy without top dimensions",
    "self_similarity": "Self-similarity",
}
_PARTS = ("unseen_accuracy", "selectivity", "compression", "gain")
_SYSTEM_TITLES = {"random_": "random weights", "control_": "control"}
_UNITS = {
    SPEARMAN: "rank correlation",
    LOSS: "nats",
    UUAS: "share",
    "anisotropy_without_top_dimensions": "mean cosine",
    "self_similarity": "mean cosine",
}
_SPANS = {LOSS: 0.5}
_DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_TICKS = 13


def encoder_label(name: str) -> str:
    """What an encoder is called on the page: ``other_1a2b3c4d`` is "other encoder 1a2b3c4d"."""
    return "this encoder" if name == THIS else f"other encoder {name.removeprefix(OTHER_PREFIX)}"


def measure_title(measure: str) -> str:
    """A measure of the encoder's own for people."""
    if measure in _TITLES:
        return _TITLES[measure]
    if measure in LAYER_FIGURES:
        return LAYER_FIGURES[measure].title
    task = measure.removesuffix("_accuracy")
    title = task.replace("_", " ") if task in TASKS else task_title(task).replace("_", " ")
    return title[:1].upper() + title[1:]


def beside_sentence(found: SideBySide) -> str:
    """The headline: in how many probes this encoder is better, worse, or not told apart."""
    words = {
        Standing.ABOVE: "better",
        Standing.BELOW: "worse",
        Standing.TIED: "not distinguishable",
        Standing.UNLIKE: "without a verdict",
    }
    counts = {word: len(found.of(standing)) for standing, word in words.items()}
    said = ", ".join(f"{word} in {count:,}" for word, count in counts.items() if count)
    return (
        f"Beside {encoder_label(found.other.name)}, of {len(found.probed):,} probes that both "
        f"have: {said or 'nothing to compare'}."
    )


def beside_figures(found: SideBySide) -> dict[str, Figure]:
    """The curves of both encoders, by the other's name and the measure's."""
    figures = {pair.measure: _probe_figure(found, pair) for pair in found.probed}
    figures |= {pair.measure: _shape_figure(found, pair) for pair in found.shapes}
    return {_key(found, measure): figure for measure, figure in figures.items()}


def beside_sections(found: SideBySide, figures: Mapping[str, Figure]) -> list[Section]:
    """What probes read off both encoders, and the shape of their layers."""
    who = encoder_label(found.other.name)
    probes: list[Figure | Table] = [figures[_key(found, pair.measure)] for pair in found.probed]
    if found.probed:
        probes += [_table(found.probed, _PROBES_SAY)]
    if found.parts:
        probes += [_table(found.parts, _PARTS_SAY, folded=True)]
    sections = [
        Section(
            title=f"Beside {who}",
            paragraphs=[*_who(found), *_verdicts(found), *_left_out(found), _how(found)],
            blocks=probes,
        )
    ]
    if found.shapes:
        shapes: list[Figure | Table] = [figures[_key(found, pair.measure)] for pair in found.shapes]
        sections.append(
            Section(
                title=f"The shape of the layers, beside {who}",
                paragraphs=[
                    "These measures need no labels: higher or lower is neither better nor worse, "
                    "but for the masked-token loss, which training lowers."
                ],
                blocks=[*shapes, _table(found.shapes, _SHAPES_SAY, folded=True)],
            )
        )
    return sections


_PROBES_SAY = (
    "Both at the layer that did best on their own validation, scored on test, with 95 % "
    "intervals; layer 0 is the embeddings."
)
_PARTS_SAY = (
    "What belongs to these probes: random weights and control at their own best layers, the rest "
    "at the probe's layer."
)
_SHAPES_SAY = "Both in their last layer, with 95 % intervals."


def _who(found: SideBySide) -> Iterator[str]:
    own, other = found.own, found.other
    text = (
        f"{encoder_label(other.name).capitalize()} has {_size(other)}; this one {_size(own)}. "
        "Its numbers are those that its own probe left, taken on"
    )
    corpora = other_corpora(own.basis, other.basis)
    tokenizers = other_tokenizers(own.basis, other.basis)
    if not corpora and not tokenizers:
        yield f"{text} the same corpus with the same tokenizer."
        return
    basis = "the same corpus with another tokenizer" if not corpora else "another corpus"
    basis += " with another tokenizer" if corpora and tokenizers else ""
    yield (
        f"{text} {basis}. So measures on the text's tokens stand beside each other, and no verdict "
        "follows from them: a loss per token, a window of tokens and a sample of documents are "
        "then not the same thing. Words of one treebank, and labels of one corpus' documents, are "
        "the same for every tokenizer."
    )


def _size(probed: Probed) -> str:
    layers = "layer" if probed.num_layers == 1 else "layers"
    heads = "head" if probed.num_heads == 1 else "heads"
    return f"{probed.num_layers} {layers} of {probed.num_heads} {heads}"


def _verdicts(found: SideBySide) -> Iterator[str]:
    """Which probes stand how, one sentence a standing, and a reason where there is no verdict."""
    if not found.probed:
        yield "There is no probe that both have."
        return
    words = {
        Standing.ABOVE: "This encoder is better in",
        Standing.BELOW: "This encoder is worse in",
        Standing.TIED: "Not distinguishable:",
    }
    lists = {
        start: [f"{measure_title(pair.measure)} ({_margin(pair)})" for pair in found.of(standing)]
        for standing, start in words.items()
    }
    for pair in found.of(Standing.UNLIKE):
        start = f"Side by side without a verdict, since taken on {', '.join(pair.unlike)}:"
        lists.setdefault(start, []).append(measure_title(pair.measure))
    yield _sentences(lists)


def _left_out(found: SideBySide) -> Iterator[str]:
    lists = {
        "Only this encoder has:": found.only_own,
        "Only the other has:": found.only_other,
        "Not compared, since the two read different treebanks:": found.not_compared,
    }
    said = _sentences({start: list(map(measure_title, names)) for start, names in lists.items()})
    if said:
        yield said


def _sentences(lists: Mapping[str, Sequence[str]]) -> str:
    """Each beginning with what it names; none where it names nothing."""
    return " ".join(f"{start} {', '.join(names)}." for start, names in lists.items() if names)


def _how(found: SideBySide) -> str:
    text = (
        "Better and worse are said where the 95 % intervals do not overlap. That asks for more "
        "than an interval of the difference would, so what is not distinguishable is no proof of "
        "equality. The intervals cover documents and probes, not the chance of training. "
    )
    if not found.has_same_depth:
        text += "Layers are drawn at their relative depth: 0 = the embeddings, 1 = the last layer. "
    return text + (
        "Rings: the layers that the text compares. Heads have no counterparts in another encoder; "
        "those of both are in comparison.parquet alone."
    )


def _probe_figure(found: SideBySide, pair: Pair) -> Figure:
    words = {Standing.ABOVE: "better", Standing.BELOW: "worse"}
    return _figure(found, pair, split=pair.own.split, words=words)


def _shape_figure(found: SideBySide, pair: Pair) -> Figure:
    words = {Standing.ABOVE: "higher", Standing.BELOW: "lower"}
    return _figure(found, pair, split=None, words=words)


def _figure(
    found: SideBySide, pair: Pair, *, split: str | None, words: Mapping[Standing, str]
) -> Figure:
    style = LAYER_FIGURES.get(pair.measure)
    span = style.smallest_span if style else _SPANS.get(pair.measure, 0.1)
    curves = [_curve(found, one, row, split) for one, row in _sides(found, pair)]
    is_level = found.has_same_depth
    return Figure(
        svg=depth_plot(
            _key(found, pair.measure),
            curves,
            x_label="layer" if is_level else "relative depth",
            y_label=_unit(pair.measure),
            ticks=_layer_ticks(found.own.num_layers) if is_level else _DEPTHS,
            smallest_span=span,
        ),
        title=measure_title(pair.measure),
        says=_pair_sentence(found, pair, words),
    )


def _unit(measure: str) -> str:
    if measure in LAYER_FIGURES:
        return LAYER_FIGURES[measure].y_label
    return _UNITS.get(measure, "accuracy" if measure.endswith("_accuracy") else "value")


def _sides(found: SideBySide, pair: Pair) -> tuple[tuple[Probed, Row], tuple[Probed, Row]]:
    return (found.own, pair.own), (found.other, pair.other)


def _curve(found: SideBySide, probed: Probed, chosen: Row, split: str | None) -> DepthCurve:
    rows = select(probed.layers, chosen.measure, split=split)
    depth = 1 if found.has_same_depth else probed.num_layers
    return DepthCurve(
        label=encoder_label(probed.name),
        x=[row.layer / depth for row in rows],
        values=[row.value for row in rows],
        low=[row.low for row in rows],
        high=[row.high for row in rows],
        chosen=[row.layer for row in rows].index(chosen.layer),
    )


def _layer_ticks(num_layers: int) -> list[float]:
    step = -(-(num_layers + 1) // _MOST_TICKS)
    return [float(layer) for layer in range(0, num_layers + 1, step)]


def _pair_sentence(found: SideBySide, pair: Pair, words: Mapping[Standing, str]) -> str:
    """Both numbers and what follows, such as "better by 0.030" or "not distinguishable"."""
    digits = _digits(pair.measure)
    sides = ", ".join(
        f"{encoder_label(one.name)} {number(row, digits)} from {layer_name(row.layer)}"
        for one, row in _sides(found, pair)
    )
    start = f"{sides[:1].upper()}{sides[1:]}: "
    if pair.unlike:
        return f"{start}no verdict, taken on {', '.join(pair.unlike)}."
    if pair.standing is Standing.TIED:
        return f"{start}not distinguishable ({_margin(pair)})."
    return f"{start}{words[pair.standing]} by {format_number(abs(pair.difference), digits)}."


def _margin(pair: Pair) -> str:
    """The difference with its sign, ``+0.030``."""
    text = format_number(pair.difference, _digits(pair.measure))
    return f"+{text}" if pair.difference > 0 and text.strip("0.") else text


def _digits(measure: str) -> int:
    return LAYER_FIGURES[measure].digits if measure in LAYER_FIGURES else 3


def _table(pairs: Sequence[Pair], says: str, *, folded: bool = False) -> Table:
    rows = []
    for pair in pairs:
        digits = _digits(pair.measure)
        sides = [(str(row.layer), number(row, digits)) for row in (pair.own, pair.other)]
        standing = "no verdict" if pair.unlike else pair.standing.value
        rows.append([_row_title(pair.measure), *sides[0], *sides[1], _margin(pair), standing])
    return Table(
        says=says,
        columns=["measure", "layer", "this", "layer", "the other", "difference", "standing"],
        rows=rows,
        folded=folded,
    )


def _key(found: SideBySide, measure: str) -> str:
    return f"{found.other.name}_{measure}"


def _row_title(measure: str) -> str:
    """A measure's title, with what part of it this is: "Part of speech, selectivity"."""
    for system, title in _SYSTEM_TITLES.items():
        if measure.startswith(system):
            return f"{measure_title(measure.removeprefix(system))}, {title}"
    for part in _PARTS:
        if measure.endswith(f"_{part}"):
            task = measure.removesuffix(part) + "accuracy"
            return f"{measure_title(task)}, {part.removesuffix('_accuracy')}"
    return measure_title(measure)
