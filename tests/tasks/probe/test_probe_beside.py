"""Two encoders side by side: who is better where, what is no verdict, what only one has."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.probe.beside import (
    SideBySide,
    Standing,
    beside_metrics,
    side_by_side,
    write_comparison,
)
from tasks.probe.other_encoders import Probed
from tasks.probe.table import Row
from tests.tasks.probe.probed import (
    CONTENTS,
    OTHER_TREEBANK,
    POS,
    SETTINGS,
    TASK,
    TREEBANK,
    probed,
    rows_of,
    unlabelled,
)

ANISOTROPY = unlabelled("anisotropy", [0.1, 0.2, 0.3])
OTHER_TEXT = CONTENTS | {"ingest": "e" * 32, "tokenize": "e" * 32}


def grammar(values: list[float]) -> list[list[Row]]:
    """A probe of words with what belongs to it."""
    return [
        rows_of(POS, values),
        rows_of(f"random_{POS}", [0.3] * len(values)),
        rows_of("upos_selectivity", [value - 0.2 for value in values], splits=["test"]),
        rows_of("upos_compression", [3.0] * len(values), splits=["train"]),
    ]


def this(task: list[float], words: list[float]) -> Probed:
    return probed("this", rows_of(TASK, task), ANISOTROPY, *grammar(words), sources=TREEBANK)


OWN = this([0.5, 0.7, 0.6], [0.8, 0.9, 0.85])


def standings(found: SideBySide) -> dict[str, Standing]:
    return {pair.measure: pair.standing for pair in found.probed}


def test_an_encoder_is_not_distinguishable_from_itself() -> None:
    found = side_by_side(OWN, OWN)
    assert standings(found) == {TASK: Standing.TIED, POS: Standing.TIED}
    assert {pair.standing for pair in (*found.parts, *found.shapes)} == {Standing.TIED}
    assert not found.only_own + found.only_other + found.not_compared
    assert set(beside_metrics([found]).values()) == {0.0}


def test_a_better_encoder_is_said_to_be_better_at_the_layers_validation_chose() -> None:
    better = this([0.5, 0.6, 0.7], [0.8, 0.85, 0.95])
    found = side_by_side(better, OWN)
    assert standings(found) == {TASK: Standing.TIED, POS: Standing.ABOVE}
    [pair] = found.of(Standing.ABOVE)
    assert (pair.own.layer, pair.other.layer) == (2, 1)
    assert pair.difference == pytest.approx(0.05)
    assert standings(side_by_side(OWN, better))[POS] is Standing.BELOW


def test_the_layer_is_never_chosen_on_test() -> None:
    misleading = [
        *rows_of(TASK, [0.5, 0.7, 0.6], splits=["validation"]),
        *rows_of(TASK, [0.5, 0.4, 0.9], splits=["test"]),
    ]
    [pair] = side_by_side(probed("this", misleading), OWN).probed
    assert (pair.own.layer, pair.own.split, pair.own.value) == (1, "test", 0.4)


def test_what_belongs_to_a_probe_is_taken_at_its_layer() -> None:
    parts = {pair.measure: pair for pair in side_by_side(OWN, OWN).parts}
    assert list(parts) == [f"random_{POS}", "upos_selectivity", "upos_compression"]
    assert parts["upos_selectivity"].own.layer == 1
    assert parts["upos_compression"].own.split == "train"


def test_different_treebanks_are_not_compared(tmp_path: Path) -> None:
    other = probed(
        "other_1", rows_of(TASK, [0.5, 0.7]), *grammar([0.1, 0.2]), sources=OTHER_TREEBANK
    )
    found = side_by_side(OWN, other)
    assert standings(found) == {TASK: Standing.TIED}
    assert found.not_compared == [POS]
    assert found.parts == []
    write_comparison([found], tmp_path / "comparison.parquet")
    rows = pq.read_table(tmp_path / "comparison.parquet").to_pylist()
    assert {row["measure"] for row in rows if row["encoder"] == "other_1"} == {TASK, "entropy"}
    assert {row["measure"] for row in rows if row["encoder"] == "this"} > {POS, "anisotropy"}
    assert list(rows[0]) == (
        ["encoder", "measure", "layer", "head", "seed", "split", "value", "low", "high"]
    )


def test_other_text_leaves_no_verdict_but_on_words_of_the_treebank() -> None:
    other = probed(
        "other_1",
        rows_of(TASK, [0.1, 0.2]),
        ANISOTROPY,
        *grammar([0.6, 0.7]),
        contents=OTHER_TEXT,
        sources=TREEBANK,
    )
    found = side_by_side(OWN, other)
    assert standings(found) == {TASK: Standing.UNLIKE, POS: Standing.ABOVE}
    assert found.probed[0].unlike == ("other corpora",)
    assert [pair.standing for pair in found.shapes] == [Standing.UNLIKE]
    assert list(beside_metrics([found])) == [f"other_1_{POS}_difference"]


def test_other_numbers_of_examples_leave_no_verdict_on_these() -> None:
    other = probed(
        "other_1", rows_of(TASK, [0.1, 0.2]), ANISOTROPY, settings=SETTINGS | {"num_examples": 90}
    )
    found = side_by_side(OWN, other)
    assert standings(found) == {TASK: Standing.UNLIKE}
    assert [pair.standing for pair in found.shapes] == [Standing.TIED]


def test_what_only_one_has_is_named() -> None:
    other = probed("other_1", rows_of("word_content_accuracy", [0.5]), ANISOTROPY)
    found = side_by_side(OWN, other)
    assert found.only_own == [TASK, POS]
    assert found.only_other == ["word_content_accuracy"]
    assert found.probed == []


def test_bounds_that_are_unknown_tell_nothing_apart() -> None:
    unknown = probed("other_1", rows_of(TASK, [0.1], around=float("nan")))
    assert standings(side_by_side(OWN, unknown)) == {TASK: Standing.TIED}
