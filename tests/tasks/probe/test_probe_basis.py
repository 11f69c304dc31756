"""What numbers were taken on: which differences forbid a verdict on which measures."""

import pytest

from tasks.probe.basis import Basis, basis_of, is_of_treebank, taken_otherwise, with_others
from tests.tasks.probe.probed import CONTENTS, OTHER_TREEBANK, SETTINGS, TREEBANK

BASIS = basis_of(CONTENTS, SETTINGS, TREEBANK)
OTHER_TEXT = {stage: "e" * 32 for stage in ("ingest", "tokenize")}
OTHER_TOKENS = {stage: "e" * 32 for stage in ("vocab", "tokenize")}
FOREIGN = {"encoder/config.json": "4" * 64, "encoder/tokenizer.json": "5" * 64}


def basis(**changes: object) -> Basis:
    values = {"contents": CONTENTS, "settings": SETTINGS, "sources": TREEBANK} | changes
    return basis_of(**values)


def why(measure: str, other: Basis, one: Basis = BASIS) -> list[str]:
    return taken_otherwise(one, other, measure, is_probed=measure.endswith("_accuracy"))


@pytest.mark.parametrize(
    ("changed", "tokens", "labels", "treebank"),
    [
        (basis(), [], [], []),
        (basis(contents=CONTENTS | OTHER_TEXT), ["other corpora"], ["other corpora"], []),
        (basis(contents=CONTENTS | OTHER_TOKENS), ["other tokenizers"], [], []),
        (basis(contents=CONTENTS | {"tokenize": "e" * 32}), [], [], []),  # longer rows
        (basis(contents=CONTENTS | {"ingest": "e" * 32}), [], [], []),  # other dropped files
        (basis(sources=OTHER_TREEBANK), [], [], ["other treebanks"]),
        (basis(sources=TREEBANK[::-1]), [], [], []),
        (basis(sources={"conllu": TREEBANK, "compare_with": {"other_1": {}}}), [], [], []),
        (basis(sources=FOREIGN | {"conllu": TREEBANK}), ["other tokenizers"], [], []),
        (
            basis(contents={"ingest": "e" * 32}, sources=FOREIGN | {"conllu": TREEBANK}),
            ["other corpora", "other tokenizers"],
            ["other corpora"],
            [],
        ),
    ],
)
def test_each_kind_of_measure_needs_what_it_was_read_from(
    changed: Basis, tokens: list[str], labels: list[str], treebank: list[str]
) -> None:
    for measure in ("masked_loss", "anisotropy", "same_document_accuracy"):
        assert why(measure, changed) == tokens
    assert why("document_label_accuracy", changed) == labels
    for measure in ("upos_accuracy", "random_head_found_accuracy", "chain_tree_uuas"):
        assert why(measure, changed) == treebank


def test_two_encoders_from_elsewhere_may_share_a_tokenizer() -> None:
    only_text = {"ingest": CONTENTS["ingest"]}
    one = basis(contents=only_text, sources=FOREIGN)
    other = basis(contents=only_text, sources=FOREIGN | {"encoder/config.json": "6" * 64})
    assert why("masked_loss", other, one) == []


def test_settings_that_draw_otherwise_are_named_where_they_matter() -> None:
    other = basis(settings=SETTINGS | {"num_examples": 400, "word2vec_tokens": 5000})
    assert why("anisotropy", other) == []
    assert why("upos_accuracy", other) == []
    assert why("bigram_shift_accuracy", other) == ["other settings (num_examples: 1,000 and 400)"]
    older = basis(settings={k: v for k, v in SETTINGS.items() if k != "num_words"})
    assert why("upos_accuracy", older) == ["other settings (num_words: 5,000 and not set)"]


def test_what_nothing_is_known_of_is_not_taken_for_the_same() -> None:
    blind = basis(contents={})
    assert why("masked_loss", blind, blind) == ["other corpora", "other tokenizers"]


def test_sources_stay_as_they_are_without_other_encoders() -> None:
    assert with_others(None, {}) is None
    assert with_others(TREEBANK, {}) is TREEBANK
    others = {"other_1": {"content_id": "f"}}
    assert with_others(None, others) == {"compare_with": others}
    assert with_others(TREEBANK, others) == {"conllu": TREEBANK, "compare_with": others}
    assert with_others(FOREIGN, others) == FOREIGN | {"compare_with": others}


def test_measures_of_a_treebank_are_known_by_name() -> None:
    assert is_of_treebank("control_feature_Number_accuracy")
    assert not is_of_treebank("masked_loss")
    assert not is_of_treebank("random_sentence_order_accuracy")
