"""Layer and head rows: independent of batching, blind to special tokens and padding."""

import numpy as np
import pytest
import torch

from model.errors import CorpusError
from model.heads import HEAD_MEASURES
from tasks.probe.heads import head_rows
from tasks.probe.layers import layer_rows
from tasks.probe.observe import mean_states, observe_sample
from tasks.probe.sample import Sample, draw_sample
from tasks.probe.table import Row, select
from tests.tasks.probe.encoders import CONFIG, plain_encoder, planted_encoder, rising_documents


def sample(num_documents: int = 30) -> Sample:
    held_out = [rising_documents(40, 1), rising_documents(40, 2)]
    return draw_sample(held_out, num_documents=num_documents, max_tokens_per_document=40, seed=3)


def by_token(hidden: torch.Tensor, documents: torch.Tensor, types: torch.Tensor) -> np.ndarray:
    """States sorted by document and token; tokens of a document are all different here."""
    order = np.lexsort([types.numpy(), documents.numpy()])
    return hidden.numpy()[order]


def numbers(rows: list[Row]) -> np.ndarray:
    return np.array([[row.value, row.low, row.high] for row in rows])


def test_states_do_not_depend_on_the_company_a_document_keeps() -> None:
    encoder, drawn = plain_encoder(), sample()
    together = observe_sample(encoder, drawn, tokens_per_batch=100_000)
    apart = observe_sample(encoder, drawn, tokens_per_batch=1)
    assert together.types_N.shape == (drawn.num_tokens,)
    for one, other in zip(together.states_KND, apart.states_KND, strict=True):
        np.testing.assert_allclose(
            by_token(one, together.document_N, together.types_N),
            by_token(other, apart.document_N, apart.types_N),
            atol=1e-5,
            rtol=1e-5,
        )
    for rows in (layer_rows, head_rows):
        np.testing.assert_allclose(
            numbers(rows(together, drawn)), numbers(rows(apart, drawn)), atol=1e-5, rtol=1e-5
        )


def test_without_attention_the_states_are_the_same() -> None:
    encoder, drawn = plain_encoder(), sample()
    full, plain = observe_sample(encoder, drawn), observe_sample(encoder, drawn, attention=False)
    assert torch.equal(full.states_KND, plain.states_KND)
    assert bool((plain.document_N.diff() >= 0).all())
    assert torch.equal(torch.bincount(plain.document_N), torch.tensor([*map(len, drawn.documents)]))
    assert len(full.head_sums_KSHM) == 3
    assert len(plain.head_sums_KSHM) == 0
    assert not head_rows(plain, drawn)


def test_context_matters_in_this_encoder() -> None:
    """Otherwise the test above would pass for the wrong reason."""
    observed = observe_sample(plain_encoder(), sample())
    rows = select(layer_rows(observed, sample()), "self_similarity")
    assert rows[0].value == pytest.approx(1.0)
    assert rows[-1].value < 0.99


def test_special_tokens_and_padding_are_left_out() -> None:
    encoder, drawn = planted_encoder(), sample()
    observed = observe_sample(encoder, drawn)
    assert int(observed.types_N.min()) > 4
    assert float(observed.states_KND.abs().max()) < 1e3
    means = mean_states(encoder, drawn.documents)
    assert float(means.abs().max()) < 1e3


def test_mean_states_are_means_over_the_sequence() -> None:
    encoder, drawn = plain_encoder(), sample()
    observed = observe_sample(encoder, drawn)
    means = mean_states(encoder, drawn.documents, tokens_per_batch=64)
    for document in range(len(drawn.documents)):
        own = observed.states_KND[:, observed.document_N == document].mean(1)
        torch.testing.assert_close(means[:, document], own, atol=1e-5, rtol=1e-4)


def test_every_layer_and_head_has_its_rows() -> None:
    drawn = sample()
    observed = observe_sample(plain_encoder(), drawn)
    layers, heads = layer_rows(observed, drawn), head_rows(observed, drawn)
    for measure in ("anisotropy", "self_similarity", "self_similarity_adjusted"):
        assert [row.layer for row in select(layers, measure)] == [0, 1, 2, 3]
    assert [row.layer for row in select(layers, "effective_rank")] == [0, 1, 2, 3]
    assert [row.layer for row in select(layers, "cka_previous_layer")] == [1, 2, 3]
    assert [row.layer for row in select(layers, "cka_with_layer_1")] == [0, 2, 3]
    assert [row.layer for row in select(layers, "residual_update")] == [1, 2, 3]
    for measure in HEAD_MEASURES:
        places = [(row.layer, row.head) for row in select(heads, measure)]
        assert places == [(k, h) for k in (1, 2, 3) for h in range(CONFIG.num_heads)]
    for row in [*layers, *heads]:
        assert row.low <= row.value <= row.high, row


def test_a_document_alone_weighs_by_its_tokens() -> None:
    """Head values are means over tokens, not over documents."""
    drawn = sample()
    observed = observe_sample(plain_encoder(), drawn)
    total = observed.head_sums_KSHM.sum(1) / drawn.num_tokens
    found = select(head_rows(observed, drawn), "entropy")
    expected = total[:, :, HEAD_MEASURES.index("entropy")].flatten().tolist()
    assert [row.value for row in found] == pytest.approx(expected)


def test_sample_is_drawn_without_replacement_and_cut() -> None:
    splits = [rising_documents(20, 1), [], rising_documents(15, 2)]
    drawn = draw_sample(splits, num_documents=100, max_tokens_per_document=10, seed=0)
    assert len(drawn.documents) == 35
    assert max(map(len, drawn.documents)) == 10
    again = draw_sample(splits, num_documents=100, max_tokens_per_document=10, seed=0)
    for one, other in zip(drawn.documents, again.documents, strict=True):
        assert np.array_equal(one, other)


def test_too_little_held_out_text_is_an_error_that_says_what_to_do() -> None:
    nothing = np.empty(0, np.uint16)
    with pytest.raises(CorpusError, match="1 documents with text, the probe needs 2; add"):
        draw_sample(
            [[nothing], [np.array([7, 8], np.uint16)]],
            num_documents=5,
            max_tokens_per_document=8,
            seed=0,
        )
