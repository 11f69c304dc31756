import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM

from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.errors import ArtifactError
from model.huggingface import (
    encoder_config_from,
    load_encoder,
    load_masked_lm,
    save_encoder,
    save_masked_lm,
)
from model.initialization import initialize
from model.mlm import MaskedLanguageModel
from tests.model.encoders import IDS, lively_encoder, stir

SIZES = {"vocab_size": 96, "hidden_size": 32, "num_heads": 4, "intermediate_size": 48}
FULL = EncoderConfig(**SIZES, num_layers=2)
WINDOWED = EncoderConfig(
    **SIZES,
    num_layers=4,
    local_attention=6,
    global_attn_every_n_layers=3,
    max_position_embeddings=64,
    global_rope_theta=5000.0,
    local_rope_theta=300.0,
)
FREE = replace(FULL, tie_embeddings=False)
CONFIGS = pytest.mark.parametrize(
    "config", [FULL, WINDOWED, FREE], ids=["full", "windowed", "free"]
)
CLEAN = {"missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"}


def lively_model(config: EncoderConfig) -> MaskedLanguageModel:
    model = MaskedLanguageModel(config)
    initialize(model, config, 0)
    stir(model)
    return model.eval()


@CONFIGS
@torch.no_grad()
def test_transformers_computes_our_logits_with_padding(
    config: EncoderConfig, tmp_path: Path
) -> None:
    model = lively_model(config)
    save_masked_lm(model, tmp_path)
    theirs, info = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[part] for part in CLEAN)
    generator = np.random.default_rng(0)
    sequences = [generator.integers(5, 96, size=length) for length in (25, 4, 13)]
    token_ids_BL = torch.zeros(3, 27, dtype=torch.int64)
    for row, sequence in enumerate(sequences):
        token_ids_BL[row, : len(sequence) + 2] = torch.tensor([2, *sequence, 3])
    mask_BL = token_ids_BL != 0
    logits_BLV = theirs(input_ids=token_ids_BL, attention_mask=mask_BL.long()).logits
    packed = batch_from_sequences(sequences, row_tokens=30, **IDS)
    ours_BLV = model.logits(model.model(packed))
    for row in range(3):
        ours_LV = ours_BLV[packed.sequence_ids_BL == row + 1]
        torch.testing.assert_close(ours_LV, logits_BLV[row][mask_BL[row]], atol=1e-5, rtol=0)


@CONFIGS
def test_the_bare_encoder_loads_too(config: EncoderConfig, tmp_path: Path) -> None:
    encoder = lively_encoder(config)
    save_encoder(encoder, tmp_path)
    _, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[part] for part in CLEAN)
    again = load_encoder(tmp_path)
    assert again.config == config
    for name, value in encoder.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


@CONFIGS
def test_what_is_saved_is_loaded_also_after_transformers_saved_it(
    config: EncoderConfig, tmp_path: Path
) -> None:
    model = lively_model(config)
    save_masked_lm(model, tmp_path)
    AutoModelForMaskedLM.from_pretrained(tmp_path).save_pretrained(tmp_path / "theirs")
    for folder in (tmp_path, tmp_path / "theirs"):
        again = load_masked_lm(folder)
        assert again.config == config
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value)
        is_shared = again.decoder.weight is again.model.embeddings.tok_embeddings.weight
        assert is_shared == config.tie_embeddings
        torch.testing.assert_close(
            load_encoder(folder).state_dict(), model.model.state_dict(), atol=0, rtol=0
        )


def test_files_are_the_same_each_time_and_name_their_format(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        save_masked_lm(lively_model(FULL), folder)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert b'"format":"pt"' in (tmp_path / "a" / "model.safetensors").read_bytes()[:4000]
    assert "decoder.weight" not in load_file(tmp_path / "a" / "model.safetensors")


def test_a_free_decoder_is_stored_and_said(tmp_path: Path) -> None:
    save_masked_lm(lively_model(FREE), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"] is False
    stored = load_file(tmp_path / "model.safetensors")
    assert not torch.equal(
        stored["decoder.weight"], stored["model.embeddings.tok_embeddings.weight"]
    )


def test_a_tied_decoder_may_be_stored_if_it_is_the_embedding_table(tmp_path: Path) -> None:
    model = lively_model(FULL)
    save_masked_lm(model, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["decoder.weight"] = weights["model.embeddings.tok_embeddings.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors")
    assert torch.equal(load_masked_lm(tmp_path).decoder.weight, model.decoder.weight)
    weights["decoder.weight"][7, 3] += 1
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match="tie_word_embeddings is true, but"):
        load_masked_lm(tmp_path)


def change_settings(folder: Path, change: dict[str, object]) -> None:
    """Sets entries of config.json, or removes those that are None."""
    path = folder / "config.json"
    settings = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))


def test_old_spellings_are_read(tmp_path: Path) -> None:
    save_masked_lm(lively_model(WINDOWED), tmp_path)
    change_settings(tmp_path, {"rope_parameters": None, "layer_types": None})
    assert encoder_config_from(tmp_path) == WINDOWED


def test_no_wavelength_of_their_own_is_that_of_full_layers_in_the_old_spelling(
    tmp_path: Path,
) -> None:
    save_masked_lm(lively_model(WINDOWED), tmp_path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text()) | {"local_rope_theta": None}
    del settings["rope_parameters"]
    path.write_text(json.dumps(settings))
    assert encoder_config_from(tmp_path) == replace(WINDOWED, local_rope_theta=5000.0)


def test_special_ids_can_be_given_where_the_file_does_not_say_them(tmp_path: Path) -> None:
    save_masked_lm(lively_model(FULL), tmp_path)
    change_settings(tmp_path, {"pad_token_id": 50283, "cls_token_id": None})
    with pytest.raises(ArtifactError, match="lacks 'cls_token_id'"):
        encoder_config_from(tmp_path)
    change_settings(tmp_path, {"cls_token_id": 2})
    with pytest.raises(ArtifactError, match="no room for the special ids"):
        encoder_config_from(tmp_path)
    ids = {"pad_id": 9, "unk_id": 8, "cls_id": 7, "sep_id": 6, "mask_id": 5}
    assert encoder_config_from(tmp_path, ids) == replace(FULL, **ids)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "bert"}, "model_type = 'bert'"),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"num_attention_heads": 5}, "num_heads = 5 does not divide"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "no regular spacing"),
        ({"hidden_size": None}, "lacks 'hidden_size'"),
        ({"hidden_activation": "silu"}, "hidden_activation = 'silu'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "scaled .rope_type = 'yarn'"),
        ({"rope_parameters": {"full_attention": {"rope_type": "linear"}}}, "scaled"),
        ({"rope_parameters": [1]}, "'list' object"),
        ({"hidden_size": "32"}, "hidden_size = '32' must be a whole number"),
        ({"norm_eps": "tiny"}, "norm_eps = 'tiny' must be a number"),
        ({"vocab_size": 10**12}, "describes a larger model than its weights"),
        ({"num_hidden_layers": 10**9, "layer_types": None}, "describes a larger model"),
    ],
)
def test_another_architecture_is_refused(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    save_masked_lm(lively_model(FULL), tmp_path)
    change_settings(tmp_path, change)
    with pytest.raises(ArtifactError, match=complaint):
        load_masked_lm(tmp_path)


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        load_masked_lm(tmp_path)
    save_masked_lm(lively_model(FULL), tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"model\.safetensors is damaged"):
        load_masked_lm(tmp_path)
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors is missing"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ArtifactError, match="no JSON object"):
        load_masked_lm(tmp_path)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_the_config_are_refused(change: str, tmp_path: Path) -> None:
    save_masked_lm(lively_model(FULL), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    if change == "missing":
        del weights["model.final_norm.weight"]
    elif change == "extra":
        weights["model.layers.9.attn.Wo.weight"] = torch.zeros(2)
    else:
        weights["model.final_norm.weight"] = torch.zeros(31)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"final_norm|layers\.9"):
        load_masked_lm(tmp_path)
