import numpy as np
import pytest
import torch
from torch import Tensor

from model.batch import batch_from_rows
from model.config import EncoderConfig
from model.encoder import AttentionPath, Encoder
from model.initialization import initialize
from tests.model.encoders import IDS, lively_encoder, random_batch

WINDOWED = EncoderConfig(
    vocab_size=96,
    hidden_size=32,
    num_layers=3,
    num_heads=4,
    intermediate_size=48,
    local_attention=6,
    global_attn_every_n_layers=3,
)
FULL = EncoderConfig(vocab_size=96, hidden_size=32, num_layers=3, num_heads=4, intermediate_size=48)
CONFIGS = pytest.mark.parametrize("config", [FULL, WINDOWED], ids=["full", "windowed"])
PATHS = pytest.mark.parametrize("path", ["rows", "stream", "blocks"])


@PATHS
def test_padding_gives_no_nan_not_even_in_a_row_of_nothing_else(path: AttentionPath) -> None:
    encoder = lively_encoder(WINDOWED, attention=path)
    batch = batch_from_rows([[np.array([9, 8])], []], row_tokens=12, **IDS)
    hidden_BLD = encoder(batch)
    hidden_BLD.sum().backward()
    assert hidden_BLD.isfinite().all()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


@CONFIGS
def test_observing_shows_every_layer_and_probabilities_that_explain_it(
    config: EncoderConfig,
) -> None:
    encoder = lively_encoder(config)
    batch = random_batch(config)
    seen = list(encoder.observe(batch, attention=True))
    assert [each.layer for each in seen] == [0, 1, 2, 3]
    assert seen[0].attention_BHLL is None
    torch.testing.assert_close(seen[0].hidden_BLD, encoder.embeddings(batch.token_ids_BL))
    assert torch.equal(seen[-1].hidden_BLD, encoder(batch))
    same_BLL = batch.sequence_ids_BL[:, :, None] == batch.sequence_ids_BL[:, None, :]
    gaps_BLL = (batch.positions_BL[:, :, None] - batch.positions_BL[:, None, :]).abs()
    for each in seen[1:]:
        assert each.attention_BHLL is not None
        torch.testing.assert_close(each.attention_BHLL.sum(-1), torch.ones(len(same_BLL), 4, 40))
        sees_BLL = same_BLL.clone()
        if not config.is_full_layer(each.layer - 1):
            sees_BLL &= gaps_BLL <= 3  # both ends of the window of 6 are inside
        assert torch.equal(each.attention_BHLL.amax(1) > 0, sees_BLL)
    assert all(each.attention_BHLL is None for each in encoder.observe(batch))


def test_probabilities_times_values_are_what_the_kernel_computes() -> None:
    encoder = lively_encoder(FULL)
    batch = random_batch(FULL)
    first = next(each for each in encoder.observe(batch, attention=True) if each.layer == 1)
    assert first.attention_BHLL is not None
    hidden_BLD = encoder.embeddings(batch.token_ids_BL)
    attention = encoder.layers[0].attn
    value_BLD = attention.Wqkv(hidden_BLD).chunk(3, dim=-1)[2]
    value_BHLE = value_BLD.unflatten(-1, (4, 8)).transpose(1, 2)
    mixed_BLD = (first.attention_BHLL @ value_BHLE).transpose(1, 2).flatten(2)
    hidden_BLD = hidden_BLD + attention.Wo(mixed_BLD)
    hidden_BLD = hidden_BLD + encoder.layers[0].mlp(encoder.layers[0].mlp_norm(hidden_BLD))
    torch.testing.assert_close(hidden_BLD, first.hidden_BLD, atol=1e-5, rtol=1e-5)


@PATHS
def test_bfloat16_stays_close_on_the_cpu(path: AttentionPath) -> None:
    encoder = lively_encoder(WINDOWED, attention=path)
    batch = random_batch(WINDOWED)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough_BLD = encoder(batch)
    exact_BLD = encoder(batch)
    cosine_BL = torch.cosine_similarity(rough_BLD.float(), exact_BLD, dim=-1)
    assert cosine_BL.min() > 0.999
    rough_BLD.float().sum().backward()


def test_fresh_weights_come_from_the_seed_alone() -> None:
    def fresh(seed: int) -> dict[str, Tensor]:
        encoder = Encoder(FULL)
        initialize(encoder, FULL, seed)
        return encoder.state_dict()

    torch.manual_seed(1)
    first, other = fresh(0), fresh(1)
    before = torch.random.get_rng_state()
    again = Encoder(FULL)
    torch.random.set_rng_state(before)
    initialize(again, FULL, 0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], value) for name, value in again.state_dict().items())
    assert not torch.equal(first["layers.0.attn.Wo.weight"], other["layers.0.attn.Wo.weight"])
    assert first["embeddings.tok_embeddings.weight"].std().item() == pytest.approx(0.0176, rel=0.1)
    assert first["final_norm.weight"].eq(1).all()


@CONFIGS
def test_weights_of_half_precision_work_on_the_cpu_too(config: EncoderConfig) -> None:
    encoder, batch = lively_encoder(config), random_batch(config)
    expected_BLD = encoder(batch)
    seen_BLD = encoder.half()(batch)
    assert seen_BLD.dtype is torch.float16
    torch.testing.assert_close(seen_BLD.float(), expected_BLD, atol=0.05, rtol=0)
