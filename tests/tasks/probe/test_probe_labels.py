"""Labels of documents: matched by id, found where they were planted, nowhere by luck."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

from model.encoder import Encoder
from model.initialization import initialize
from tasks.probe.findings import random_like
from tasks.probe.label_probes import ACCURACY, LabelProbes, document_states, probe_labels
from tasks.probe.labelled_documents import LabelSample, LeftOut, draw_labelled
from tasks.probe.observe import mean_states
from tasks.probe.page.grammar_page import chosen
from tasks.probe.page.labels_page import label_section, label_sentences
from tasks.probe.static_vectors import StaticEncoder
from tasks.probe.table import Row, select
from tasks.tokens import TokenizedCorpus
from tests.tasks.probe.encoders import CONFIG, PLANTED_LAYER, plain_encoder, planted_encoder
from tests.tasks.probe.labelled import (
    NAMES,
    LabelledCorpus,
    corpus_of,
    labelled_corpus,
    write_tokens,
)

SEEDS = (0, 1, 2)
SIZES = {"num_documents": 120, "max_tokens": 40}


def draw(
    labelled: LabelledCorpus, folder: Path, *, label_column: str | None = "kind", **sizes: int
) -> dict[int, LabelSample] | LeftOut | None:
    corpus = corpus_of(labelled, folder / "ingest", label_column=label_column)
    write_tokens(folder / "tokenize", labelled.tokens, labelled.ids)
    tokens = TokenizedCorpus(folder / "tokenize")
    documents = {split: tokens.documents(split) for split in labelled.tokens}
    return draw_labelled(corpus, documents, tokens.document_ids, seeds=SEEDS, **(SIZES | sizes))


@cache
def drawn() -> Mapping[int, LabelSample]:
    with TemporaryDirectory() as folder:
        found = draw(labelled_corpus(), Path(folder))
    assert isinstance(found, dict)
    return found


@cache
def probed() -> LabelProbes:
    encoder = planted_encoder()
    vectors_VD = torch.randn(CONFIG.vocab_size, 32, generator=torch.Generator().manual_seed(5))
    static = StaticEncoder(vectors_VD, torch.ones(CONFIG.vocab_size, dtype=torch.bool), CONFIG, 1)
    return probe_labels(
        encoder,
        static,
        lambda seed: random_like(encoder, seed),
        drawn(),
        max_tokens=SIZES["max_tokens"],
        on_system=lambda: None,
    )


def rows_of(measure: str, split: str) -> list[Row]:
    return select(probed().layers, measure, split=split)


def test_every_document_has_the_label_of_its_id() -> None:
    """The corpus lies in another order than the tokens, and tokens tell their label."""
    for sample in drawn().values():
        for own in sample.splits.values():
            assert len(own.tokens) == len(own.labels_E) == len(own.document_E)
            for tokens, label in zip(own.tokens, own.labels_E.tolist(), strict=True):
                falls = all(after < before for before, after in pairwise(tokens.tolist()))
                assert sorted(NAMES)[label] == NAMES[falls]


def test_each_seed_draws_its_own_documents_and_half_as_many_to_score() -> None:
    places = [sample.splits["train"].document_E.tolist() for sample in drawn().values()]
    assert len({tuple(own) for own in places}) == len(SEEDS)
    for sample in drawn().values():
        counts = {split: len(own.tokens) for split, own in sample.splits.items()}
        assert counts == {"train": 120, "validation": 60, "test": 60}
        assert max(len(one) for own in sample.splits.values() for one in own.tokens) == 40
        assert sample.num_cut > 0
        assert all(own.document_E.diff().gt(0).all() for own in sample.splits.values())


def test_the_planted_layer_is_found_and_no_other() -> None:
    values = [row.value for row in rows_of(ACCURACY, "test")]
    assert values[PLANTED_LAYER] > 0.95
    assert all(value < 0.65 for layer, value in enumerate(values) if layer != PLANTED_LAYER)
    best = chosen(probed().layers, ACCURACY)
    assert best.layer == PLANTED_LAYER
    for other in ("random_", "word2vec_", "control_", "majority_"):
        assert chosen(probed().layers, other + ACCURACY).high < best.low
    compression = rows_of("document_label_compression", "train")
    assert compression[PLANTED_LAYER].low > 1.5
    assert rows_of("document_label_selectivity", "test")[PLANTED_LAYER].low > 0.2


def test_shuffled_labels_are_at_chance_and_tell_no_shorter() -> None:
    control = rows_of(f"control_{ACCURACY}", "test")
    assert all(0.38 < row.value < 0.62 for row in control)
    for name in ("compression", "gain"):
        rows = rows_of(f"control_document_label_{name}", "train")
        assert [row.layer for row in rows] == [0, 1, 2, 3]
        assert all(row.value <= 1.02 for row in rows)


def test_every_system_has_rows_of_every_seed_and_split() -> None:
    layers = {"": 4, "random_": 4, "control_": 4, "word2vec_": 1, "majority_": 1}
    for prefix, num_layers in layers.items():
        for seed in (*SEEDS, None):
            for split in ("validation", "test"):
                found = select(probed().layers, prefix + ACCURACY, split=split, seed=seed)
                assert [row.layer for row in found] == list(range(num_layers))
                assert all(row.low <= row.value <= row.high for row in found)
    majority = rows_of(f"majority_{ACCURACY}", "test")[0]
    assert majority.low < 0.5 < majority.high


def test_the_page_says_where_and_names_no_label() -> None:
    (sentence,) = label_sentences(probed())
    assert sentence.startswith("The document's label is best read from layer 2 (")
    assert "above the embeddings" in sentence
    assert "above random weights" in sentence
    (section,) = label_section(probed())
    assert "at most 40 leading tokens" in section.paragraphs[0]
    assert "120 of train, 60 of validation, 60 of test" in section.paragraphs[0]
    assert not [name for name in NAMES if name in repr(section)]


def test_documents_longer_than_a_window_are_read_whole() -> None:
    narrow = replace(CONFIG, max_position_embeddings=12)
    encoder = Encoder(narrow).eval()
    initialize(encoder, narrow, 1)
    long, short = np.arange(5, 30), np.arange(50, 57)
    states_KED = document_states(encoder, [long, short])
    assert states_KED.shape == (4, 2, 32)
    parts_KPD = mean_states(encoder, [long[:10], long[10:20], long[20:], short])
    whole_KD = (10 * parts_KPD[:, 0] + 10 * parts_KPD[:, 1] + 5 * parts_KPD[:, 2]) / 25
    torch.testing.assert_close(states_KED[:, 0], whole_KD)
    torch.testing.assert_close(states_KED[:, 1], parts_KPD[:, 3])


def test_a_documents_state_is_the_mean_of_its_tokens() -> None:
    documents = [np.arange(5, 30), np.arange(9, 12)]
    torch.testing.assert_close(
        document_states(plain_encoder(), documents), mean_states(plain_encoder(), documents)
    )


def relabelled(change: dict[str, Any]) -> LabelledCorpus:
    labelled = labelled_corpus()
    return replace(labelled, labels=labelled.labels | change)


def test_documents_without_a_label_or_with_one_nobody_learned_are_not_asked(
    tmp_path: Path,
) -> None:
    change = {f"train-{place}": None for place in range(100)}
    change |= {f"test-{place}": "new" for place in range(30)}
    found = draw(relabelled(change), tmp_path, num_documents=160)
    assert isinstance(found, dict)
    for sample in found.values():
        assert (sample.num_classes, sample.num_unknown) == (2, 30)
        assert sample.splits["train"].document_E.tolist() == list(range(100, 160))
        assert sample.splits["test"].document_E.tolist() == list(range(30, 80))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({f"train-{n}": f"name {n}" for n in range(160)}, "120 distinct values of kind over 120"),
        ({f"train-{n}": "one" for n in range(160)}, "1 distinct values in kind"),
        ({f"test-{n}": None for n in range(61)}, "19 documents of test have a value in kind"),
    ],
)
def test_a_column_that_cannot_be_learned_is_left_out_with_a_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    found = draw(relabelled(change), tmp_path)
    assert isinstance(found, LeftOut)
    assert reason in found.reason
    (section,) = label_section(found)
    assert reason in section.paragraphs[0]
    assert label_sentences(found) == []


def test_without_a_label_column_there_is_nothing(tmp_path: Path) -> None:
    assert draw(labelled_corpus(), tmp_path, label_column=None) is None
    assert label_section(None) == []
