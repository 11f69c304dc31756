from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.bag_tuning import BagSettings, Spans, bag_states, thinned, train_bag
from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.contrastive import contrastive_loss
from model.encoder import Encoder
from model.errors import TrainingError
from model.initialization import initialize, scale_branches
from model.pooling import sum_pool
from model.retrieval import hits_at, matching_ranks, similarity_blocks
from model.spans import SpanSampler
from model.token_weights import TokenWeights
from tests.model.encoders import IDS, lively_encoder

CONFIG = EncoderConfig(
    vocab_size=200, hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48
)
SETTINGS = BagSettings(
    max_steps=30,
    learning_rate=3e-3,
    weight_learning_rate=0.1,
    temperature=0.1,
    matryoshka_dims=(32, 16),
    token_dropout=0.3,
    seed=0,
)
TABLE = "embeddings.tok_embeddings.weight"
NUM_DOCUMENTS = 16
NEVER_SEEN = range(20, 40)


def topical_text(num_tokens: int, seed: int) -> list[np.ndarray]:
    """Text on each topic: a fifth are the topic's ten tokens, the rest fifteen common ones."""
    generator = np.random.default_rng(seed)
    common = np.arange(5, 20)
    texts = []
    for topic in range(NUM_DOCUMENTS):
        own = np.arange(40 + 10 * topic, 50 + 10 * topic)
        is_own = generator.random(num_tokens) < 0.2
        texts.append(
            np.where(
                is_own, generator.choice(own, num_tokens), generator.choice(common, num_tokens)
            )
        )
    return texts


DOCUMENTS = topical_text(200, seed=0)
SAMPLER = SpanSampler(
    np.full(NUM_DOCUMENTS, 200),
    documents_per_batch=NUM_DOCUMENTS,
    span_min_tokens=8,
    span_max_tokens=100,
    seed=0,
)
FIRST_HALVES, SECOND_HALVES = topical_text(30, seed=1), topical_text(30, seed=2)


def draw(step: int) -> tuple[Spans, Spans]:
    return SAMPLER.pairs(step).cut(DOCUMENTS)


def fresh() -> tuple[Encoder, TokenWeights]:
    encoder = Encoder(CONFIG)
    initialize(encoder, CONFIG, 0)
    return encoder, TokenWeights(torch.ones(CONFIG.vocab_size))


def run(
    encoder: Encoder,
    weights: TokenWeights,
    settings: BagSettings = SETTINGS,
    draw_pairs: Callable[[int], tuple[Spans, Spans]] = draw,
) -> list[float]:
    losses: list[float] = []
    train_bag(encoder, weights, draw_pairs, settings, on_step=lambda _, loss: losses.append(loss))
    return losses


def without_layers(encoder: Encoder) -> Encoder:
    """A copy whose layers add nothing."""
    copy = Encoder(encoder.config)
    copy.load_state_dict(encoder.state_dict())
    scale_branches(copy, 0.0)
    return copy


@torch.no_grad()
def pooled(encoder: Encoder, weights: TokenWeights, spans: Spans) -> Tensor:
    """Vectors [S, D] of an embedder without layers in which [CLS] and [SEP] count nothing."""
    weights_V = weights().clone()
    weights_V[[IDS["cls_id"], IDS["sep_id"]]] = 0.0
    batch = batch_from_sequences(spans, row_tokens=None, **IDS)
    return sum_pool(without_layers(encoder)(batch), batch, weights_V)


def recall_at_1(encoder: Encoder, weights: TokenWeights) -> float:
    firsts_PD, seconds_PD = (
        torch.nn.functional.normalize(pooled(encoder, weights, halves), dim=1).numpy()
        for halves in (FIRST_HALVES, SECOND_HALVES)
    )
    ranks_P = matching_ranks(similarity_blocks(firsts_PD, seconds_PD))
    return float(hits_at(ranks_P, 1).mean())


SPANS = st.lists(
    st.lists(st.integers(0, 300), min_size=1, max_size=20).map(np.array), min_size=1, max_size=12
)
DROPOUTS = st.floats(0, 1, exclude_max=True)
SEEDS = st.integers(0, 2**64 - 1)
STEPS = st.integers(0, 2**40)


def is_subsequence(ids: list[int], span: list[int]) -> bool:
    rest = iter(span)
    return all(token in rest for token in ids)


@given(SPANS, DROPOUTS, SEEDS, STEPS)
def test_every_span_keeps_some_of_its_tokens_in_order(
    spans: list[np.ndarray], dropout: float, seed: int, step: int
) -> None:
    spans_N, ids_N = thinned(spans, dropout=dropout, seed=seed, step=step)
    assert len(spans_N) == len(ids_N)
    assert (np.diff(spans_N) >= 0).all()
    for index, span in enumerate(spans):
        left = ids_N[spans_N == index].tolist()
        assert left
        assert is_subsequence(left, span.tolist())


@given(SPANS, SEEDS, STEPS)
def test_without_dropout_all_tokens_stay_in_order(
    spans: list[np.ndarray], seed: int, step: int
) -> None:
    spans_N, ids_N = thinned(spans, dropout=0.0, seed=seed, step=step)
    assert np.array_equal(ids_N, np.concatenate(spans))
    assert np.array_equal(np.bincount(spans_N), [len(span) for span in spans])


@given(SPANS, DROPOUTS, SEEDS, STEPS)
def test_what_goes_depends_on_seed_and_step_only(
    spans: list[np.ndarray], dropout: float, seed: int, step: int
) -> None:
    first = thinned(spans, dropout=dropout, seed=seed, step=step)
    thinned(spans[::-1], dropout=dropout, seed=seed, step=step + 1)
    # Other tokens of the same lengths go and stay at the same places.
    others = [span + 1000 for span in spans]
    again = thinned(others, dropout=dropout, seed=seed, step=step)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1] + 1000, again[1])


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 4}])
def test_another_seed_or_step_drops_others(change: dict[str, int]) -> None:
    spans = [np.arange(100), np.arange(100, 150)]
    asked = {"dropout": 0.5, "seed": 0, "step": 3}
    ids_N, others_N = thinned(spans, **asked)[1], thinned(spans, **{**asked, **change})[1]
    assert not np.array_equal(ids_N, others_N)


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.75, 0.9])
def test_the_share_dropped_is_the_asked_one(dropout: float) -> None:
    num_spans, length = 100, 400
    spans = [np.arange(length)] * num_spans
    spans_N, ids_N = thinned(spans, dropout=dropout, seed=5, step=7)
    kept, variance = 1 - dropout, dropout * (1 - dropout)
    num_tokens = num_spans * length
    assert abs(len(ids_N) / num_tokens - kept) < 4 * (variance / num_tokens) ** 0.5
    of_span = np.bincount(spans_N, minlength=num_spans) / length
    of_place = np.bincount(ids_N, minlength=length) / num_spans
    assert abs(of_span - kept).max() < 5 * (variance / length) ** 0.5
    assert abs(of_place - kept).max() < 5 * (variance / num_spans) ** 0.5


def test_almost_full_dropout_leaves_short_spans_whole_and_about_sixteen_of_long_ones() -> None:
    spans = [np.arange(length) for length in (1, 5, 16)] + [np.arange(400)] * 300
    spans_N, ids_N = thinned(spans, dropout=1 - 1e-9, seed=0, step=0)
    counts_S = np.bincount(spans_N)
    assert counts_S[:3].tolist() == [1, 5, 16]
    assert counts_S[3:].mean() == pytest.approx(16, abs=1)
    assert counts_S.min() >= 1
    assert len(set(ids_N.tolist())) > 390


def test_training_lowers_the_loss_and_raises_retrieval() -> None:
    encoder, weights = fresh()
    before = recall_at_1(encoder, weights)
    losses = run(encoder, weights)
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    assert recall_at_1(encoder, weights) > before + 0.3


def test_training_learns_which_tokens_say_nothing() -> None:
    encoder, weights = fresh()
    run(encoder, weights)
    weights_V = weights().detach()
    assert weights_V[5:20].mean() < 0.5 * weights_V[40:].mean()


@pytest.mark.usefixtures("one_thread")
def test_training_is_the_same_twice_bit_for_bit() -> None:
    (one, one_weights), (other, other_weights) = fresh(), fresh()
    assert run(one, one_weights) == run(other, other_weights)
    assert torch.equal(one_weights.log_weights_V, other_weights.log_weights_V)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_another_seed_drops_other_tokens_in_training() -> None:
    assert run(*fresh()) != run(*fresh(), replace(SETTINGS, seed=1))


def test_only_token_vectors_and_weights_move_and_only_of_tokens_that_occur() -> None:
    encoder, weights = fresh()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    logs_V = weights.log_weights_V.detach().clone()
    run(encoder, weights)
    table_VD = encoder.state_dict()[TABLE]
    seen = np.unique(np.concatenate(DOCUMENTS))
    assert not (table_VD[seen] == before[TABLE][seen]).all(dim=1).any()
    assert not (weights.log_weights_V[seen] == logs_V[seen]).any()
    unseen = [0, 1, 2, 3, 4, *NEVER_SEEN]
    assert torch.equal(table_VD[unseen], before[TABLE][unseen])
    assert torch.equal(weights.log_weights_V[unseen], logs_V[unseen])
    for name, value in encoder.state_dict().items():
        assert name == TABLE or torch.equal(value, before[name]), name


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_step_drops_other_tokens(dropout: float) -> None:
    settings = replace(
        SETTINGS, max_steps=5, learning_rate=0.0, weight_learning_rate=0.0, token_dropout=dropout
    )
    losses = run(*fresh(), settings, lambda _: draw(0))
    assert len(set(losses)) == (5 if dropout else 1)


def test_vectors_and_weights_have_rates_of_their_own() -> None:
    encoder, weights = fresh()
    run(encoder, weights, replace(SETTINGS, max_steps=2, learning_rate=0.0))
    assert torch.equal(encoder.state_dict()[TABLE], fresh()[0].state_dict()[TABLE])
    assert weights.log_weights_V.any()
    encoder, weights = fresh()
    run(encoder, weights, replace(SETTINGS, max_steps=2, weight_learning_rate=0.0))
    assert not torch.equal(encoder.state_dict()[TABLE], fresh()[0].state_dict()[TABLE])
    assert not weights.log_weights_V.any()


def test_every_update_is_heard_of_and_draws_its_own_step() -> None:
    heard, drawn = [], []

    def counted(step: int) -> tuple[Spans, Spans]:
        drawn.append(step)
        return draw(step)

    settings = replace(SETTINGS, max_steps=4)
    train_bag(*fresh(), counted, settings, on_step=lambda done, _: heard.append(done))
    assert (drawn, heard) == ([0, 1, 2, 3], [1, 2, 3, 4])


def test_no_steps_change_nothing() -> None:
    encoder, weights = fresh()
    assert run(encoder, weights, replace(SETTINGS, max_steps=0)) == []
    assert torch.equal(encoder.state_dict()[TABLE], fresh()[0].state_dict()[TABLE])
    assert torch.equal(weights.log_weights_V, torch.zeros(CONFIG.vocab_size))


@pytest.mark.parametrize("rate", ["learning_rate", "weight_learning_rate"])
def test_a_rate_that_blows_up_stops_the_run_with_what_to_lower(rate: str) -> None:
    with pytest.raises(TrainingError, match=r"step 0: .* lower tune\.bag_learning_rate") as caught:
        run(*fresh(), replace(SETTINGS, **{rate: 1e38}))
    assert "\n" not in str(caught.value)


def test_states_of_tokens_are_those_of_an_encoder_whose_layers_add_nothing() -> None:
    encoder = lively_encoder(CONFIG)
    ids = np.array([7, 199, 8, 7, 60])
    batch = batch_from_sequences([ids], row_tokens=None, **IDS)
    with torch.no_grad():
        states_UD = bag_states(encoder, batch.token_ids_BL[0])
        hidden_LD = without_layers(encoder)(batch)[0]
        layered_LD = encoder(batch)[0]
    torch.testing.assert_close(states_UD, hidden_LD, rtol=0, atol=1e-6)
    assert (states_UD - layered_LD).abs().max() > 0.1


@pytest.mark.parametrize("dropout", [0.0, 0.6])
def test_the_loss_is_of_vectors_pooled_from_an_encoder_without_layers(dropout: float) -> None:
    encoder = lively_encoder(CONFIG)
    generator = torch.Generator().manual_seed(3)
    weights = TokenWeights(0.05 + torch.rand(CONFIG.vocab_size, generator=generator))
    firsts, seconds = draw(0)
    spans_N, ids_N = thinned([*firsts, *seconds], dropout=dropout, seed=0, step=0)
    left = [ids_N[spans_N == index] for index in range(2 * NUM_DOCUMENTS)]
    vectors_SD = pooled(encoder, weights, left)
    expected = contrastive_loss(
        vectors_SD[:NUM_DOCUMENTS], vectors_SD[NUM_DOCUMENTS:], temperature=0.1, dims=(32, 16)
    )
    settings = replace(SETTINGS, max_steps=1, token_dropout=dropout)
    assert run(encoder, weights, settings) == [pytest.approx(expected.item(), abs=1e-5)]


def test_each_vector_is_the_pooled_one() -> None:
    """Two pairs at a time: the loss then tells the four cosines between them."""
    encoder = lively_encoder(CONFIG)
    weights = TokenWeights(torch.linspace(0.1, 1, CONFIG.vocab_size))
    settings = replace(SETTINGS, max_steps=1, token_dropout=0.0, temperature=1.0)
    firsts, seconds = draw(0)
    for one in range(0, NUM_DOCUMENTS, 2):
        two = slice(one, one + 2)
        first_PD, second_PD = (pooled(encoder, weights, spans[two]) for spans in (firsts, seconds))
        expected = contrastive_loss(first_PD, second_PD, temperature=1.0, dims=(32, 16))
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        logs_V = weights.log_weights_V.detach().clone()
        found = run(encoder, weights, settings, lambda _, two=two: (firsts[two], seconds[two]))
        assert found == [pytest.approx(expected.item(), abs=1e-5)]
        encoder.load_state_dict(before)
        weights.load_state_dict({"log_weights_V": logs_V})
