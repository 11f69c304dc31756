"""On a CUDA device the encoder computes what it computes on the CPU, in either kernel."""

import pytest
import torch

from model.config import EncoderConfig
from model.encoder import Encoder
from tests.model.encoders import lively_encoder, random_batch
from tests.model.training_runs import Run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")
SIZES = {"vocab_size": 96, "hidden_size": 64, "num_heads": 2, "intermediate_size": 96}
CONFIGS = pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(**SIZES, num_layers=2),
        EncoderConfig(**SIZES, num_layers=4, local_attention=6, global_attn_every_n_layers=3),
    ],
    ids=["full", "windowed"],
)


def hidden_states(encoder: Encoder, config: EncoderConfig, device: torch.device) -> torch.Tensor:
    batch = random_batch(config).to(device)
    hidden_BLD = encoder.to(device)(batch)
    return hidden_BLD[batch.sequence_ids_BL > 0].float().cpu()


@CONFIGS
@torch.no_grad()
def test_float32_is_the_cpus(config: EncoderConfig) -> None:
    expected_ND = hidden_states(lively_encoder(config), config, torch.device("cpu"))
    seen_ND = hidden_states(lively_encoder(config), config, CUDA)
    torch.testing.assert_close(seen_ND, expected_ND, atol=1e-4, rtol=1e-4)


@CONFIGS
def test_flash_attention_over_the_stream_is_close_forwards_and_backwards(
    config: EncoderConfig,
) -> None:
    exact = lively_encoder(config)
    rough = lively_encoder(config).to(CUDA)
    expected_ND = hidden_states(exact, config, torch.device("cpu"))
    expected_ND.pow(2).sum().backward()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert rough._path(torch.zeros(1, 1, device=CUDA)) == "stream"
        seen_ND = hidden_states(rough, config, CUDA)
    seen_ND.pow(2).sum().backward()
    cosines_N = torch.cosine_similarity(seen_ND, expected_ND, dim=-1)
    assert cosines_N.mean() > 0.9993  # what bfloat16 leaves of these weights on a CPU too
    assert cosines_N.min() > 0.99
    for ours, theirs in zip(rough.parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        cosine = torch.cosine_similarity(ours.grad.cpu().flatten(), theirs.grad.flatten(), dim=0)
        assert cosine > 0.98


@pytest.mark.parametrize("compiled", [False, True])
def test_training_in_bfloat16_follows_the_cpu(compiled: bool) -> None:
    exact = Run()
    exact.training.run()
    rough = Run(
        settings={"device": CUDA, "precision": torch.bfloat16},
        rows={"fixed_shapes": compiled},
        device="cuda",
    )
    if compiled:
        rough.model.compile_parts()
    rough.training.run()
    assert rough.losses() == pytest.approx(exact.losses(), rel=0.02)
