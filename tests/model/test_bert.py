"""That our BERT computes what Hugging Face's does, from its own files; that bad ones are named."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig as TheirConfig
from transformers import BertForMaskedLM, BertForPreTraining, BertModel

from model.batch import Batch, batch_from_sequences
from model.bert_files import (
    bert_config_from,
    has_masked_lm_head,
    load_bert,
    load_bert_masked_lm,
)
from model.errors import ArtifactError
from model.head_ablation import ablate_heads
from model.layer_loss import guess_from_layers
from model.masked_sequences import mask_sequences
from tests.model.encoders import stir
from tests.model.gap_models import own_losses

IDS = {"pad_id": 0, "unk_id": 1, "cls_id": 2, "sep_id": 3, "mask_id": 4}
LENGTHS = (9, 1, 14, 5)


def theirs(kind: type[Any] = BertForMaskedLM) -> Any:
    torch.manual_seed(0)
    config = TheirConfig(
        vocab_size=60,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=20,
        attn_implementation="eager",
    )
    model = kind(config).eval()
    stir(model, 0.1)
    return model


def saved(folder: Path, kind: type[Any] = BertForMaskedLM) -> Any:
    model = theirs(kind)
    model.save_pretrained(folder)
    return model


def sequences() -> list[Any]:
    generator = np.random.default_rng(0)
    return [generator.integers(5, 60, size=length) for length in LENGTHS]


def packed() -> Batch:
    return batch_from_sequences(sequences(), row_tokens=20, cls_id=2, sep_id=3, pad_id=0)


def framed(sequence: Any) -> Tensor:
    return torch.tensor([[2, *sequence, 3]])


def of_sequence(values_BLX: Tensor, index: int) -> Tensor:
    return values_BLX[packed().sequence_ids_BL == index + 1]


@torch.inference_mode()
def test_every_layer_and_head_is_theirs(tmp_path: Path) -> None:
    model = saved(tmp_path, BertModel)
    ours = list(load_bert(tmp_path, IDS).eval().observe(packed(), attention=True))
    assert [seen.layer for seen in ours] == [0, 1, 2, 3]
    for index, sequence in enumerate(sequences()):
        said = model(framed(sequence), output_hidden_states=True, output_attentions=True)
        for seen, hidden in zip(ours, said.hidden_states, strict=True):
            assert torch.allclose(of_sequence(seen.hidden_BLD, index), hidden[0], atol=1e-5)
        for seen, attention_1HLL in zip(ours[1:], said.attentions, strict=True):
            assert seen.attention_BHLL is not None
            row, columns = own_block(index)
            block_HLL = seen.attention_BHLL[row][:, columns][:, :, columns]
            assert torch.allclose(block_HLL, attention_1HLL[0], atol=1e-5)


def own_block(index: int) -> tuple[int, Tensor]:
    rows, columns = torch.nonzero(packed().sequence_ids_BL == index + 1, as_tuple=True)
    return int(rows[0]), columns


@torch.inference_mode()
def test_the_head_says_what_theirs_says(tmp_path: Path) -> None:
    model = saved(tmp_path)
    ours = load_bert_masked_lm(tmp_path, IDS).eval()
    logits_BLV = ours.logits(ours.model(packed()))
    for index, sequence in enumerate(sequences()):
        wanted_LV = model(framed(sequence)).logits[0]
        assert torch.allclose(of_sequence(logits_BLV, index), wanted_LV, atol=1e-4)


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM, BertForPreTraining])
def test_the_encoder_is_found_below_any_head(tmp_path: Path, kind: type[Any]) -> None:
    model = saved(tmp_path, kind)
    inner = model if kind is BertModel else model.bert
    table = load_bert(tmp_path, IDS).embeddings.tokens.weight
    assert torch.equal(table, inner.embeddings.word_embeddings.weight)
    assert has_masked_lm_head(tmp_path) == (kind is not BertModel)


def test_what_is_read_off_layers_and_lost_without_heads_is_the_models(tmp_path: Path) -> None:
    saved(tmp_path)
    model = load_bert_masked_lm(tmp_path, IDS).eval()
    masked = mask_sequences(sequences(), model.config, mask_frac=0.15, seed=0)
    whole_S, right_S = own_losses(model, masked)
    close = {"rtol": 1e-6, "atol": 1e-5}
    layers = guess_from_layers(model, masked)
    torch.testing.assert_close(layers.loss_SK[:, -1], whole_S, **close)
    torch.testing.assert_close(layers.right_SK[:, -1], right_S)
    heads = ablate_heads(model, masked, tokens_per_batch=20)
    torch.testing.assert_close(heads.whole_S, whole_S, **close)
    for layer, head in ((1, 0), (2, 3)):
        zeroed = deepcopy(model)
        with torch.no_grad():
            weight = zeroed.model.layers[layer - 1].attention_out.weight
            weight[:, head * 6 : head * 6 + 6] = 0
        wanted_S = own_losses(zeroed, masked)[0]
        torch.testing.assert_close(heads.without_SKH[:, layer - 1, head], wanted_S, **close)
        assert not torch.allclose(wanted_S, whole_S, atol=1e-3)


def test_counters_and_heads_for_other_tasks_are_passed_over(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    more = {
        "bert.embeddings.position_ids": torch.arange(20)[None],
        "classifier.weight": torch.zeros(2, 24),
    }
    save_file(load_file(path) | more, path)
    assert has_masked_lm_head(tmp_path)
    assert load_bert(tmp_path, IDS).config.num_layers == 3


def test_the_old_names_of_norms_are_known(tmp_path: Path) -> None:
    saved(tmp_path)
    before = load_bert(tmp_path, IDS).state_dict()
    path = tmp_path / "model.safetensors"
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in load_file(path).items()
    }
    save_file(old, path)
    after = load_bert(tmp_path, IDS).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "roberta"}, "model_type"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"num_hidden_layers": 10**9}, "larger model"),
        ({"num_hidden_layers": 2}, "missing or unexpected"),
        ({"vocab_size": 61}, "has shape"),
        ({"num_attention_heads": 5}, "does not divide"),
        ({"hidden_size": "wide"}, "whole number"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
    ],
)
def test_another_architecture_is_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    saved(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=reason):
        load_bert(tmp_path, IDS)


def test_a_model_without_a_head_reads_no_tokens(tmp_path: Path) -> None:
    saved(tmp_path, BertModel)
    with pytest.raises(ArtifactError, match="missing or unexpected"):
        load_bert_masked_lm(tmp_path, IDS)


def test_the_config_says_the_sizes(tmp_path: Path) -> None:
    saved(tmp_path)
    config = bert_config_from(tmp_path, IDS)
    assert (config.vocab_size, config.hidden_size, config.num_layers) == (60, 24, 3)
    assert config.special_ids == (0, 1, 2, 3, 4)
