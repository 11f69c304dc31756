"""The page's sections on other encoders say what the numbers allow, and draw both."""

from xml.etree import ElementTree

from tasks.probe.beside import SideBySide, side_by_side
from tasks.probe.page.side_by_side import (
    beside_figures,
    beside_sections,
    beside_sentence,
    measure_title,
)
from tasks.report.page import Section, Table, render_report
from tests.tasks.probe.probed import (
    CONTENTS,
    OTHER_TREEBANK,
    POS,
    TASK,
    TREEBANK,
    probed,
    rows_of,
    unlabelled,
)

OWN = probed(
    "this",
    rows_of(TASK, [0.5, 0.7, 0.6]),
    rows_of(POS, [0.8, 0.9, 0.85]),
    unlabelled("masked_loss", [7.0, 6.0, 5.0]),
    unlabelled("anisotropy", [0.1, 0.2, 0.3]),
    sources=TREEBANK,
)
SHALLOW = probed(
    "other_1a2b3c4d",
    rows_of(TASK, [0.5, 0.7]),
    rows_of(POS, [0.8, 0.86]),
    unlabelled("masked_loss", [7.0, 5.5]),
    sources=TREEBANK,
)


def words(found: SideBySide) -> str:
    return " ".join(text for each in sections(found) for text in each.paragraphs)


def sections(found: SideBySide) -> list[Section]:
    return beside_sections(found, beside_figures(found))


def test_verdicts_are_said_with_layers_and_differences() -> None:
    found = side_by_side(OWN, SHALLOW)
    said = words(found)
    assert "This encoder is better in Part of speech (+0.040)." in said
    assert "Not distinguishable: Bigram shift (0.000)." in said
    assert "Only this encoder has: Anisotropy." in said
    assert "1 layer of 2 heads; this one 2 layers" in said
    figures = beside_figures(found)
    assert figures[f"other_1a2b3c4d_{POS}"].says == (
        "This encoder 0.900 [0.890, 0.910] from layer 1, other encoder 1a2b3c4d 0.860 [0.850, "
        "0.870] from layer 1: better by 0.040."
    )
    assert figures["other_1a2b3c4d_masked_loss"].says.endswith("from layer 1: lower by 0.500.")
    assert beside_sentence(found) == (
        "Beside other encoder 1a2b3c4d, of 2 probes that both have: better in 1, not "
        "distinguishable in 1."
    )


def test_layers_stand_at_their_relative_depth_where_the_depths_differ() -> None:
    def labels(found: SideBySide) -> set[str]:
        root = ElementTree.fromstring(beside_figures(found)[f"other_1a2b3c4d_{TASK}"].svg)
        return {
            "".join(each.itertext()).strip() for each in root.iter() if each.tag.endswith("text")
        }

    assert {"relative depth", "0.25", "this encoder", "other encoder 1a2b3c4d"} <= labels(
        side_by_side(OWN, SHALLOW)
    )
    deep = probed("other_1a2b3c4d", rows_of(TASK, [0.5, 0.6, 0.7]))
    assert {"layer", "0", "1", "2"} <= labels(side_by_side(OWN, deep))
    assert "relative depth" in words(side_by_side(OWN, SHALLOW))
    assert "relative depth" not in words(side_by_side(OWN, deep))


def test_no_verdict_is_said_with_its_reason() -> None:
    other = probed(
        "other_1a2b3c4d",
        rows_of(TASK, [0.1, 0.2, 0.1]),
        rows_of(POS, [0.1]),
        contents=CONTENTS | {"vocab": "e" * 32, "tokenize": "e" * 32},
        sources=OTHER_TREEBANK,
    )
    found = side_by_side(OWN, other)
    said = words(found)
    assert "the same corpus with another tokenizer. So" in said
    assert "without a verdict, since taken on other tokenizers: Bigram shift." in said
    assert "two read different treebanks: Part of speech." in said
    assert "better in" not in said
    [table] = [each for part in sections(found) for each in part.blocks if isinstance(each, Table)]
    assert table.rows[0][-1] == "no verdict"


def test_the_page_shows_both_at_their_best_layers() -> None:
    page = render_report("x", sections(side_by_side(OWN, SHALLOW)))
    assert "Beside other encoder 1a2b3c4d" in page
    assert "0.900 [0.890, 0.910]" in page
    assert page.count("<svg") == 3


def test_measures_have_names_for_people() -> None:
    assert measure_title("same_document_accuracy") == "Same document"
    assert measure_title("head_found_accuracy") == "Head of the word"
    assert measure_title("feature_Number_accuracy") == "Number"
    assert measure_title("effective_rank") == "Effective rank"
    assert measure_title("document_label_accuracy") == "Document label"
