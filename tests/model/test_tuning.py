from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import EncoderConfig
from model.encoder import Encoder
from model.errors import ArtifactError, TrainingError
from model.initialization import initialize
from model.spans import SpanSampler
from model.token_weights import TokenWeights
from model.tuning import Spans, Tuner, TuningSettings, rate_factor_at, train

CONFIG = EncoderConfig(
    vocab_size=200, hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48
)
SETTINGS = TuningSettings(
    max_steps=12,
    learning_rate=3e-3,
    embedding_learning_rate=3e-3,
    weight_learning_rate=1e-2,
    warmup_frac=0.25,
    weight_decay=0.01,
    temperature=0.1,
    matryoshka_dims=(32, 16, 8),
)


def tuner(settings: TuningSettings = SETTINGS) -> Tuner:
    encoder = Encoder(CONFIG)
    initialize(encoder, CONFIG, 0)
    return Tuner(encoder, TokenWeights(torch.linspace(0.1, 1.0, 200)), settings)


def topical_documents() -> list[np.ndarray]:
    """Each draws from a few tokens of its own."""
    generator = np.random.default_rng(0)
    return [generator.choice(generator.integers(5, 200, size=5), size=40) for _ in range(16)]


DOCUMENTS = topical_documents()
SAMPLER = SpanSampler(
    np.full(16, 40), documents_per_batch=8, span_min_tokens=4, span_max_tokens=20, seed=0
)


def draw(step: int) -> tuple[Spans, Spans]:
    return SAMPLER.pairs(step).cut(DOCUMENTS)


def run(trained: Tuner, *, first_step: int = 0) -> list[float]:
    losses: list[float] = []
    train(trained, draw, first_step=first_step, on_step=lambda step, loss: losses.append(loss))
    return losses


def test_the_rate_rises_falls_and_is_never_zero() -> None:
    rates = [rate_factor_at(step, SETTINGS) for step in range(12)]
    peak = rates.index(max(rates))
    assert 0 < peak < 11
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0
    assert max(rates) <= 1


def test_training_pulls_spans_of_one_document_together() -> None:
    losses = run(tuner())
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit() -> None:
    whole = tuner()
    losses = run(whole)

    first = tuner()
    for step in range(5):
        first.update(step, *draw(step))
    second = tuner()
    second.encoder.load_state_dict(first.encoder.state_dict())
    second.restore({name: t.clone() for name, t in first.state_tensors().items()})
    assert run(second, first_step=5) == losses[5:]
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(value, second.encoder.state_dict()[name])
    assert torch.equal(whole.weights(), second.weights())
    assert not torch.equal(whole.weights(), tuner().weights())


def test_training_ends_when_it_is_enough() -> None:
    trained, losses = tuner(), list[float]()
    train(
        trained,
        draw,
        first_step=0,
        on_step=lambda step, loss: losses.append(loss),
        is_enough=lambda: len(losses) == 5,
    )
    assert losses == run(tuner())[:5]


def test_the_optimizer_state_matters_for_a_resume() -> None:
    first, second = tuner(), tuner()
    for step in range(5):
        first.update(step, *draw(step))
    second.encoder.load_state_dict(first.encoder.state_dict())
    assert run(first, first_step=5) != run(second, first_step=5)


def test_a_state_of_another_model_is_refused() -> None:
    trained = tuner()
    trained.update(0, *draw(0))
    tensors = trained.state_tensors()
    name = "exp_avg.layers.0.attn.Wo.weight"
    with pytest.raises(ArtifactError, match="does not fit"):
        tuner().restore(tensors | {name: torch.zeros(2, 2)})
    del tensors[name]
    with pytest.raises(ArtifactError, match="has no exp_avg"):
        tuner().restore(tensors)


def test_norms_are_not_decayed_and_the_table_has_its_own_rate() -> None:
    groups = tuner(replace(SETTINGS, embedding_learning_rate=0.5))._optimizer.param_groups
    assert sum(len(group["params"]) for group in groups) == 1 + len(
        list(tuner().encoder.parameters())
    )
    (table,) = groups[0]["params"]
    assert table.shape == (CONFIG.vocab_size, CONFIG.hidden_size)
    assert [group["peak_lr"] for group in groups] == [0.5, 3e-3, 3e-3, 1e-2]
    for group in groups:
        is_decayed = group["weight_decay"] > 0
        assert {parameter.ndim > 1 for parameter in group["params"]} == {is_decayed}


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    broken = tuner()
    with torch.no_grad():
        broken.encoder.layers[0].mlp_norm.weight.fill_(float("inf"))
    with pytest.raises(TrainingError, match=r"tune step 0: .*learning_rate"):
        broken.update(0, *draw(0))


def test_an_update_that_ruins_the_weights_ends_the_run() -> None:
    ruined = tuner()

    def ruin(*_: object) -> None:
        with torch.no_grad():
            ruined.encoder.layers[0].mlp_norm.weight[0] = float("inf")

    ruined._optimizer.register_step_post_hook(ruin)
    with pytest.raises(TrainingError, match=r"tune step 0: the update leaves weights"):
        ruined.update(0, *draw(0))
