"""The report's section on the user's labels of documents; it names no label."""

from tasks.probe.comparison import standing
from tasks.probe.label_probes import ACCURACY, DOCUMENT_LABEL, MAJORITY, LabelProbes
from tasks.probe.labelled_documents import LeftOut
from tasks.probe.page.grammar_page import Course, chosen, course_figure
from tasks.probe.page.wording import layer_name, number
from tasks.probe.table import Row, select
from tasks.report.page import Section, Table, format_number

_MAJORITY_NAME = "the most frequent label"
_COURSE = Course(
    ACCURACY,
    "Which label has this document?",
    "accuracy",
    MAJORITY + ACCURACY,
    _MAJORITY_NAME,
)
_SYSTEMS = {
    "": "trained",
    "random_": "random weights",
    "control_": "shuffled labels",
    "word2vec_": "Word2Vec",
}


def label_section(found: LabelProbes | LeftOut | None) -> list[Section]:
    """The section; none where the corpus has no label column."""
    if found is None:
        return []
    title = "What it knows of the documents' labels"
    if isinstance(found, LeftOut):
        return [Section(title=title, paragraphs=[f"Left out: {found.reason}."])]
    counts = ", ".join(f"{count:,} of {split}" for split, count in found.num_documents.items())
    paragraphs = [
        f"A document's vector is the mean of its tokens' states; at most {found.max_tokens:,} "
        f"leading tokens are read ({found.num_cut:,} documents are longer). A linear probe tells "
        f"which of {found.num_classes:,} labels the document has. Documents: {counts}, for "
        "fitting, choosing and scoring; counts are those of one seed. Control: the labels dealt "
        "to the documents anew; selectivity is accuracy beyond that. Compression is how many "
        "times shorter the labels can be told to one who has the states; gain leaves out what "
        "the labels' shares give away.",
    ]
    if found.num_unknown:
        paragraphs.append(
            f"{found.num_unknown:,} documents drawn are left out, as no document fitted on has "
            "their label."
        )
    figure = course_figure(found.layers, _COURSE, control=True)
    return [Section(title=title, paragraphs=paragraphs, blocks=[figure, _table(found)])]


def label_sentences(found: LabelProbes | LeftOut | None) -> list[str]:
    """Where the label is best read, and how that stands to all that it is measured beside."""
    if not isinstance(found, LabelProbes):
        return []
    layers = select(found.layers, ACCURACY, split="test")
    best = chosen(found.layers, ACCURACY)
    others = {
        "the embeddings": layers[0],
        "the last layer": layers[-1],
        "random weights": chosen(found.layers, f"random_{ACCURACY}"),
        "Word2Vec": chosen(found.layers, f"word2vec_{ACCURACY}"),
        _MAJORITY_NAME: _majority(found.layers),
    }
    said = ", ".join(
        f"{standing(best, row, name)} ({format_number(row.value)})"
        for name, row in others.items()
        if row != best
    )
    return [
        f"The document's label is best read from {layer_name(best.layer)} "
        f"({format_number(best.value)}): {said}."
    ]


def _majority(rows: list[Row]) -> Row:
    (row,) = select(rows, MAJORITY + ACCURACY, split="test")
    return row


def _table(found: LabelProbes) -> Table:
    rows = []
    for prefix, system in _SYSTEMS.items():
        best = chosen(found.layers, prefix + ACCURACY)
        rows.append(
            [
                system,
                layer_name(best.layer),
                number(best),
                *(
                    _at(found.layers, f"{prefix}{DOCUMENT_LABEL}_{name}", best.layer)
                    for name in ("selectivity", "compression", "gain")
                ),
            ]
        )
    rows.append([_MAJORITY_NAME, "–", number(_majority(found.layers)), "–", "–", "–"])
    return Table(
        says="Each system at the layer that did best on validation, scored on test. Code lengths "
        "are of train's labels.",
        columns=["system", "layer", "accuracy", "selectivity", "compression", "gain"],
        rows=rows,
        num_label_columns=2,
        emphasized=frozenset([0]),
    )


def _at(rows: list[Row], measure: str, layer: int) -> str:
    found = [row for row in select(rows, measure) if row.layer == layer]
    return number(found[0], 2) if found else "–"
