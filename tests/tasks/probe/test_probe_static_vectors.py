"""Word2Vec beside an encoder: repeatable, bounded, and usable wherever an encoder is read."""

import dataclasses

import numpy as np
import pytest
import torch

from model.errors import CorpusError
from tasks.probe.heads import head_rows
from tasks.probe.layers import layer_rows
from tasks.probe.observe import mean_states
from tasks.probe.sample import Sample, Tokens
from tasks.probe.static_vectors import StaticEncoder, observe_static, train_static_encoder
from tasks.probe.table import select
from tests.tasks.probe.encoders import CONFIG
from tests.tasks.probe.masked_models import sample

NARROW = dataclasses.replace(CONFIG, hidden_size=16)


def two_topics(num_documents: int = 60, seed: int = 0) -> list[Tokens]:
    """Documents of tokens 10 to 29, and documents of tokens 30 to 49."""
    generator = np.random.default_rng(seed)
    return [
        generator.integers(10 + 20 * (number % 2), 30 + 20 * (number % 2), size=50).astype(
            np.uint16
        )
        for number in range(num_documents)
    ]


def trained(**changed: int) -> StaticEncoder:
    return train_static_encoder(two_topics(), NARROW, **{"seed": 1, "num_epochs": 10, **changed})


def test_the_same_seed_gives_the_same_vectors_bit_for_bit() -> None:
    first, again, other = trained(), trained(), trained(seed=2)
    assert torch.equal(first.vectors_VD, again.vectors_VD)
    assert first.vectors_VD.shape == (CONFIG.vocab_size, 16)
    assert first.vectors_VD.dtype == torch.float32
    assert not torch.equal(first.vectors_VD, other.vectors_VD)


def test_tokens_of_a_topic_are_alike() -> None:
    vectors = trained().vectors_VD[10:50]
    unit = torch.nn.functional.normalize(vectors - vectors.mean(0), dim=-1)
    cosine = unit @ unit.T
    within = (cosine[:20, :20].mean() + cosine[20:, 20:].mean()) / 2
    assert within > cosine[:20, 20:].mean() + 0.3


def test_a_token_never_met_has_the_mean_of_all() -> None:
    encoder = trained()
    assert encoder.is_known_V.nonzero().flatten().tolist() == list(range(10, 50))
    mean_D = encoder.vectors_VD[10:50].mean(0)
    torch.testing.assert_close(encoder.vectors_VD[200], mean_D)
    torch.testing.assert_close(encoder.vectors_VD[NARROW.mask_id], mean_D)


def test_unknown_tokens_are_no_tokens_of_text() -> None:
    documents = [np.array([10, 1, 11, 1] * 9, np.uint16)] * 4
    encoder = train_static_encoder(documents, NARROW, seed=0)
    assert encoder.is_known_V.nonzero().flatten().tolist() == [10, 11]


def test_no_more_tokens_are_read_than_allowed() -> None:
    documents = [np.full(30, token, np.uint16) for token in range(10, 40)]
    encoder = train_static_encoder(documents, NARROW, seed=0, num_tokens=62, num_epochs=1)
    assert encoder.num_tokens == 62
    assert int(encoder.is_known_V.sum()) == 3  # 30, 30 and 2 tokens


def test_a_long_document_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.skip_gram.MAX_WORDS_IN_BATCH", 10)
    document = np.repeat(np.arange(10, 20), 4).astype(np.uint16)
    encoder = train_static_encoder([document, document], NARROW, seed=0, num_epochs=1)
    assert encoder.is_known_V.nonzero().flatten().tolist() == list(range(10, 20))


def test_nothing_to_learn_from_is_the_users_to_know() -> None:
    with pytest.raises(CorpusError, match="no token of the train split occurs twice"):
        train_static_encoder([np.arange(10, 20, dtype=np.uint16)], NARROW, seed=0)
    with pytest.raises(CorpusError, match="give ingest more text"):
        train_static_encoder([], NARROW, seed=0)


def test_states_are_the_vectors_wherever_a_token_stands() -> None:
    encoder = trained()
    documents = two_topics(6, seed=5)
    means_1SD = mean_states(encoder, documents, tokens_per_batch=120)
    assert means_1SD.shape == (1, 6, 16)
    for mean_D, document in zip(means_1SD[0], documents, strict=True):
        own_D = encoder.vectors_VD[torch.from_numpy(document.astype(np.int64))].mean(0)
        torch.testing.assert_close(mean_D, own_D, atol=1e-5, rtol=1e-5)


def test_the_measures_of_layers_take_it() -> None:
    drawn = Sample([*two_topics(6, seed=5), *sample(4).documents], 5)
    drawn.documents[0][:3] = [NARROW.mask_id, NARROW.unk_id, 12]
    observed = observe_static(trained(), drawn)
    assert observed.states_KND.shape == (1, drawn.num_tokens - 1, 16)  # [MASK] is no text
    assert observed.document_N.bincount().tolist()[1:] == [
        len(document) for document in drawn.documents[1:]
    ]
    rows = layer_rows(observed, drawn, prefix="word2vec_", seed=1)
    assert {(row.layer, row.seed) for row in rows} == {(0, 1)}
    assert select(rows, "word2vec_self_similarity", seed=1)[0].value == pytest.approx(1.0)
    assert 1 <= select(rows, "word2vec_effective_rank", seed=1)[0].value <= 16
    assert head_rows(observed, drawn) == []
