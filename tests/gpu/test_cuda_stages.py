"""On a CUDA device the stages make what they make on the CPU, up to the rounding of bfloat16."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn

from model.ranks import Ranks
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.launch import train_in_processes
from tasks.stage import StageContext
from tasks.tune.config import TuneConfig
from tasks.tune.stage import TUNE
from tests.tasks.chain import Listener, encoder_chain, topic_documents
from tests.tasks.export.exports import chain, export, made_up_records, read, vectors_of
from tests.tasks.pretrain.runs import QUICK, pretrain, upstream

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = "cuda"
ENOUGH = {"max_steps": 40, "num_checkpoints": 4}


def last(listener: Listener, name: str) -> float:
    """The newest value of a metric."""
    return [values[name] for _, values in listener.measured if name in values][-1]


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_pretraining_learns_as_on_the_cpu_and_tells_its_use_of_the_device(
    tmp_path: Path, compiled: str
) -> None:
    exact, rough = Listener(), Listener()
    pretrain(tmp_path, tmp_path / "exact", exact, device="cpu", **ENOUGH)
    changes = {**ENOUGH, "precision": "bf16", "compile": compiled, "device": DEVICE}
    pretrain(tmp_path, tmp_path / "rough", rough, **changes)
    losses = [last(each, "validation_loss") for each in (exact, rough)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert 0 < last(rough, "mfu") < 1


def test_pretraining_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    settings = {**ENOUGH, "precision": "bf16", "compile": "off", "device": DEVICE}
    whole, resumed = Listener(), Listener()
    pretrain(tmp_path, tmp_path / "whole", whole, **settings)
    pretrain(tmp_path, tmp_path / "parts", Listener(), **settings)
    steps = sorted((tmp_path / "parts" / "checkpoints").iterdir())
    for folder in steps[2:]:
        folder.rename(tmp_path / folder.name)
    pretrain(tmp_path, tmp_path / "parts", resumed, **settings)
    assert "goes on after step 20" in resumed.messages[-1]
    # Not to the bit: the order in which flash attention's backward pass adds is not fixed.
    expected = last(whole, "validation_loss")
    assert last(resumed, "validation_loss") == pytest.approx(expected, rel=1e-3)


def test_a_process_started_by_torchrun_trains_on_the_device(tmp_path: Path) -> None:
    settings = {**QUICK, **ENOUGH, "precision": "bf16", "compile": "off", "device": DEVICE}
    alone, launched = Listener(), Listener()
    pretrain(tmp_path, tmp_path / "alone", alone, **settings)
    (tmp_path / "out").mkdir()
    config = PretrainConfig.model_validate(settings)
    context = StageContext(config, upstream(tmp_path), tmp_path / "out", launched)
    train_in_processes(context, lambda: False)
    expected = last(alone, "validation_loss")
    assert last(launched, "validation_loss") == pytest.approx(expected, rel=1e-3)


@pytest.fixture
def nccl() -> Iterator[None]:
    """A group of this process alone, over NCCL."""
    torch.cuda.set_device(0)
    distributed.init_process_group("nccl", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("nccl")
def test_gradients_that_were_averaged_over_nccl_are_the_models_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4)).to(DEVICE)
    given_BD = torch.randn(8, 16, device=DEVICE)
    model(given_BD).pow(2).sum().backward()
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad(set_to_none=True)
    wrapped = dataclasses.replace(Ranks(), num_ranks=2).wrapped(model)
    wrapped(given_BD).pow(2).sum().backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert gradient is not None
        torch.testing.assert_close(parameter.grad, gradient)


def test_tuning_raises_recall(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        *topic_documents(60, split="train", seed=0, prefix="t"),
        *topic_documents(40, split="validation", seed=1, prefix="v"),
        *topic_documents(2, split="test", seed=2, prefix="x"),
    ]
    inputs = encoder_chain(tmp_path, records)
    (tmp_path / "out").mkdir()
    config = TuneConfig.model_validate(
        {
            "max_steps": 40,
            "num_checkpoints": 4,
            "bag_steps": 20,
            "documents_per_batch": 16,
            "learning_rate": 1e-2,
            "embedding_learning_rate": 1e-2,
            "device": DEVICE,
            "precision": "bf16",
        }
    )
    metrics = TUNE.run(StageContext(config, inputs, tmp_path / "out", Listener()))
    assert metrics["validation_recall_at_1"] > metrics["initial_recall_at_1"] + 0.1


def test_vectors_are_those_of_the_cpu_whatever_the_batch(tmp_path: Path) -> None:
    inputs = chain(tmp_path, made_up_records(40), documents_per_shard=6)

    def vectors(name: str, **settings: Any) -> np.ndarray:
        (tmp_path / name).mkdir()
        export(inputs, tmp_path / name, **settings)
        return vectors_of(read(tmp_path / name, "part"))

    exact = vectors("cpu", device="cpu", precision="fp32")
    single = vectors("single", device=DEVICE, precision="fp32", tokens_per_batch=100)
    assert np.abs(single - exact).max() <= 1e-5
    for budget in (64, 4096):
        half = vectors(f"half-{budget}", device=DEVICE, precision="bf16", tokens_per_batch=budget)
        assert (half * exact).sum(axis=1).min() >= 0.9999
