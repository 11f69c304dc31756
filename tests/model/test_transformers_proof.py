"""That Hugging Face's ModernBERT, given our weights, computes our logits, losses and gradients.

Letters: B documents, L positions, M masked positions, N real tokens, V vocabulary.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForMaskedLM
from transformers.models.modernbert import modeling_modernbert

from model.batch import Batch
from model.config import EncoderConfig
from model.encoder import AttentionPath
from model.huggingface import save_masked_lm
from model.initialization import initialize
from model.mlm import MaskedLanguageModel, MaskedLoss
from tests.model.encoders import stir
from tests.model.reference_encoder import laid_out

SIZES = {"vocab_size": 96, "hidden_size": 32, "num_heads": 4, "intermediate_size": 24}
FULL = EncoderConfig(**SIZES, num_layers=2, max_position_embeddings=512)
WINDOWED = EncoderConfig(
    **SIZES,
    num_layers=4,
    local_attention=128,
    global_attn_every_n_layers=3,
    max_position_embeddings=512,
)
CONFIGS = pytest.mark.parametrize("config", [FULL, WINDOWED], ids=["full", "windowed"])
LENGTHS = (300, 131, 64, 1)
ERRORS = {torch.float32: 1e-5, torch.float64: 1e-10}


def documents() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(5, 96, (length,), generator=generator) for length in LENGTHS]


def our_batch() -> Batch:
    first, second, third, fourth = documents()
    return laid_out([[first], [second, third, fourth]], 300)


def our_model(config: EncoderConfig, path: AttentionPath = "auto") -> MaskedLanguageModel:
    model = MaskedLanguageModel(config, attention=path)
    initialize(model, config, 0)
    stir(model, 0.1)
    return model


def their_batch() -> tuple[Tensor, Tensor]:
    """Ids and mask ``BL``, a padded row a document."""
    token_ids_BL = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    for row, document in enumerate(documents()):
        token_ids_BL[row, : len(document)] = document
    return token_ids_BL, torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


def targets() -> Tensor:
    """``targets_N`` of all real tokens; the masked ones are those not negative."""
    generator = torch.Generator().manual_seed(1)
    chosen_N = torch.rand(sum(LENGTHS), generator=generator) < 0.3
    targets_N = torch.randint(0, 96, (sum(LENGTHS),), generator=generator)
    return targets_N.where(chosen_N, -100)


@pytest.fixture
def double_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs rounds queries and keys to single precision in its rotation; this one does not."""

    def rotation(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, **_: Any) -> Any:
        rotate_half = modeling_modernbert.rotate_half
        return tuple(
            each * cos[:, None] + rotate_half(each) * sin[:, None] for each in (query, key)
        )

    monkeypatch.setattr(modeling_modernbert, "apply_rotary_pos_emb", rotation)


def their_model(folder: Path, model: MaskedLanguageModel, kernel: str) -> torch.nn.Module:
    save_masked_lm(model, folder)
    theirs = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation=kernel)
    assert theirs.config._attn_implementation == kernel
    assert theirs.dtype == torch.float32
    module: torch.nn.Module = theirs
    return module.eval()


def assert_same(ours: MaskedLanguageModel, theirs: torch.nn.Module, error: float) -> None:
    """Logits, loss and every gradient agree to `error`, as a part of what they are."""
    batch = our_batch()
    token_ids_BL, mask_BL = their_batch()
    logits_NV = theirs(input_ids=token_ids_BL, attention_mask=mask_BL.long()).logits[mask_BL]
    home_N = (batch.sequence_ids_BL.flatten() > 0).nonzero().flatten()
    ours_NV = ours(batch, home_N)
    assert (ours_NV - logits_NV).abs().max() < error * logits_NV.abs().max()

    targets_N = targets()
    their_loss = functional.cross_entropy(logits_NV, targets_N, reduction="sum")
    counts_N = targets_N >= 0
    loss = MaskedLoss(ours)(batch, home_N[counts_N], targets_N[counts_N])
    assert (loss - their_loss).abs() < error * their_loss
    loss.backward()
    their_loss.backward()
    their_parameters = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        expected = their_parameters[name].grad
        assert expected is not None
        assert (parameter.grad - expected).norm() < 3 * error * expected.norm(), name


@CONFIGS
@pytest.mark.parametrize("path", ["rows", "stream", "blocks"])
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_in_single_precision(
    config: EncoderConfig, path: AttentionPath, kernel: str, tmp_path: Path
) -> None:
    ours = our_model(config, path)
    assert_same(ours, their_model(tmp_path, ours, kernel), ERRORS[torch.float32])


@CONFIGS
@pytest.mark.parametrize("path", ["rows", "stream", "blocks"])
@pytest.mark.usefixtures("double_rotation")
def test_in_double_precision(config: EncoderConfig, path: AttentionPath, tmp_path: Path) -> None:
    ours = our_model(config, path)
    theirs = their_model(tmp_path, ours, "sdpa").double()
    assert_same(ours.double(), theirs, ERRORS[torch.float64])


def test_their_own_loss_is_our_mean(tmp_path: Path) -> None:
    ours = our_model(WINDOWED)
    token_ids_BL, mask_BL = their_batch()
    labels_BL = torch.full_like(token_ids_BL, -100).masked_scatter(mask_BL, targets())
    output = their_model(tmp_path, ours, "sdpa")(
        input_ids=token_ids_BL, attention_mask=mask_BL.long(), labels=labels_BL
    )
    batch = our_batch()
    counts_N = targets() >= 0
    home_N = (batch.sequence_ids_BL.flatten() > 0).nonzero().flatten()
    loss = MaskedLoss(ours)(batch, home_N[counts_N], targets()[counts_N])
    torch.testing.assert_close(loss / counts_N.sum(), output.loss, atol=0, rtol=1e-5)
