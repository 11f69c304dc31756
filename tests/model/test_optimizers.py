import pytest
import torch
from torch import Tensor

from model.config import EncoderConfig
from model.initialization import initialize
from model.mlm import MaskedLanguageModel, summed_loss
from model.optimizers import (
    Optimizers,
    OptimizerSettings,
    is_hidden_matrix,
)
from tests.model.encoders import random_batch

CONFIG = EncoderConfig(
    vocab_size=64, hidden_size=16, num_layers=2, num_heads=2, intermediate_size=24
)
SETTINGS = OptimizerSettings(
    learning_rate=1e-2, muon_learning_rate=2e-2, weight_decay=0.1, grad_clip=1.0
)


def model() -> MaskedLanguageModel:
    fresh = MaskedLanguageModel(CONFIG)
    initialize(fresh, CONFIG, 0)
    return fresh


def backward(trained: MaskedLanguageModel, first: int = 1) -> None:
    batch = random_batch(CONFIG)
    positions_M = torch.arange(first, first + 10)
    targets_M = batch.token_ids_BL.flatten()[positions_M]
    loss = summed_loss(trained(batch, positions_M), targets_M) / 10
    loss.backward()


def test_each_parameter_has_one_optimizer() -> None:
    optimizers = Optimizers(model(), SETTINGS)
    in_muon = set(optimizers.muon.parameters)
    assert in_muon == {
        f"model.layers.{layer}.{name}.weight"
        for layer in (0, 1)
        for name in ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")
    }
    in_adamw = [p for group in optimizers.adamw.param_groups for p in group["params"]]
    assert len(in_adamw) + len(in_muon) == len(dict(model().named_parameters()))
    decayed, plain = (group["params"] for group in optimizers.adamw.param_groups)
    assert {p.ndim for p in decayed} == {2}
    assert {p.ndim for p in plain} == {1}
    assert not is_hidden_matrix("head.dense.weight", torch.zeros(2, 2))


def test_updates_lower_the_loss() -> None:
    trained = model()
    optimizers = Optimizers(trained, SETTINGS)
    batch = random_batch(CONFIG)
    positions_M = torch.arange(1, 11)
    targets_M = batch.token_ids_BL.flatten()[positions_M]
    losses = []
    for _ in range(40):
        loss = summed_loss(trained(batch, positions_M), targets_M) / 10
        loss.backward()
        optimizers.clip()
        optimizers.step(1.0)
        losses.append(loss.item())
        assert all(p.grad is None for p in trained.parameters())
    assert losses[-1] < 0.2 * losses[0]


def test_without_gradient_nothing_moves_and_rate_zero_moves_nothing() -> None:
    trained = model()
    optimizers = Optimizers(trained, SETTINGS)
    before = {name: p.detach().clone() for name, p in trained.named_parameters()}
    optimizers.step(1.0)
    backward(trained)
    optimizers.step(0.0)
    for name, parameter in trained.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_clipping_scales_to_the_limit_and_tells_the_norm() -> None:
    trained = model()
    optimizers = Optimizers(trained, SETTINGS)
    backward(trained)

    def norm() -> Tensor:
        return torch.stack(
            [p.grad.norm() for p in trained.parameters() if p.grad is not None]
        ).norm()

    for parameter in trained.parameters():
        if parameter.grad is not None:
            parameter.grad *= 100
    before = norm()
    torch.testing.assert_close(optimizers.clip(), before)
    torch.testing.assert_close(norm(), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_a_restored_optimizer_goes_on_bit_for_bit() -> None:
    def trained_for(num_steps: int, handover: int | None) -> dict[str, Tensor]:
        trained, step = model(), 0
        optimizers = Optimizers(trained, SETTINGS)
        while step < num_steps:
            if step == handover:
                state = {name: value.clone() for name, value in optimizers.state().items()}
                weights = {name: value.clone() for name, value in trained.state_dict().items()}
                trained = model()
                trained.load_state_dict(weights)
                optimizers = Optimizers(trained, SETTINGS)
                optimizers.load_state(state, step)
            backward(trained, first=1 + step)
            optimizers.clip()
            optimizers.step(1.0)
            step += 1
        return trained.state_dict()

    unbroken = trained_for(6, None)
    for handover in (1, 4):
        for name, value in trained_for(6, handover).items():
            assert torch.equal(value, unbroken[name]), name


def test_a_state_of_other_parameters_is_refused() -> None:
    optimizers = Optimizers(model(), SETTINGS)
    with pytest.raises(KeyError):
        optimizers.load_state({}, 1)
