"""Encoders as folders that Hugging Face's ModernBERT classes load, and back.

A folder holds `config.json` and `model.safetensors`; nothing needs converting, because our
modules carry the names of theirs. Both spellings of the rotary settings and layer types are
read and written (transformers 4.48 and later, and 5).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.config import EncoderConfig
from model.encoder import Encoder
from model.errors import ArtifactError
from model.json_files import read_json
from model.mlm import MaskedLanguageModel
from model.weight_files import (
    WEIGHTS_FILE,
    StoredTensor,
    read_tensors,
    refuse_misfit,
    stored_tensors,
)

CONFIG_FILE = "config.json"
ENCODER_PREFIX = "model."
DECODER_KEY = "decoder.weight"  # of a tied decoder only the embedding table is stored
EMBEDDING_KEY = "model.embeddings.tok_embeddings.weight"
HEAD_PARTS = {"head.dense.weight", "head.norm.weight", "decoder.bias"}
FULL, SLIDING = "full_attention", "sliding_attention"

# Parts of the layout that our encoder has in one form only: a folder that says otherwise holds
# another architecture.
FIXED_SETTINGS: dict[str, Any] = {
    "model_type": "modernbert",
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "decoder_bias": True,
    "classifier_bias": False,
}


def save_masked_lm(model: MaskedLanguageModel, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors` for `AutoModelForMaskedLM` into `folder`."""
    weights: dict[str, Tensor] = model.state_dict()
    if model.config.tie_embeddings:
        del weights[DECODER_KEY]
    _save(weights, model.config, "ModernBertForMaskedLM", folder)


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors` for `AutoModel` into `folder`."""
    _save(encoder.state_dict(), encoder.config, "ModernBertModel", folder)


def load_masked_lm(folder: Path, config: EncoderConfig | None = None) -> MaskedLanguageModel:
    """The masked language model in `folder`, float32, on the CPU.

    Args:
        folder: holds `config.json` and the weights, in one file or in shards.
        config: as `encoder_config_from` says if not given.

    Raises:
        ArtifactError: no such model there, or its weights do not fit its config.
    """
    config = config or encoder_config_from(folder)
    stored = stored_tensors(folder)
    shapes = _shapes(MaskedLanguageModel, config, stored, folder)
    copy = None
    if config.tie_embeddings:
        del shapes[DECODER_KEY]
        copy = stored.pop(DECODER_KEY, None)
    refuse_misfit(stored, shapes, folder)
    weights = read_tensors(stored)
    if config.tie_embeddings:
        weights[DECODER_KEY] = weights[EMBEDDING_KEY]
    if copy is not None:
        _refuse_other_decoder(copy, weights[EMBEDDING_KEY], folder)
    model = MaskedLanguageModel(config)
    model.load_state_dict(weights)
    return model


def load_encoder(folder: Path, config: EncoderConfig | None = None) -> Encoder:
    """The encoder in `folder`, alone or inside a masked language model, float32, on the CPU.

    Args:
        folder: holds `config.json` and the weights, in one file or in shards.
        config: as `encoder_config_from` says if not given.

    Raises:
        ArtifactError: no such model there, or its weights do not fit its config.
    """
    config = config or encoder_config_from(folder)
    stored = stored_tensors(folder)
    if any(name.startswith(ENCODER_PREFIX) for name in stored):
        stored = {
            name.removeprefix(ENCODER_PREFIX): value
            for name, value in stored.items()
            if name.startswith(ENCODER_PREFIX)
        }
    refuse_misfit(stored, _shapes(Encoder, config, stored, folder), folder)
    encoder = Encoder(config)
    encoder.load_state_dict(read_tensors(stored))
    return encoder


def has_masked_lm_head(folder: Path) -> bool:
    """Whether the weights in `folder` hold what reads tokens off hidden states.

    Raises:
        ArtifactError: the folder holds no readable weights.
    """
    return stored_tensors(folder).keys() >= HEAD_PARTS


def encoder_config_from(
    folder: Path, special_ids: Mapping[str, int] | None = None
) -> EncoderConfig:
    """The sizes and constants that `folder`'s `config.json` states.

    Args:
        folder: holds the file.
        special_ids: by name (`pad_id`, ...) what to say instead of what the file does. Without
            them the ids of [UNK] and [MASK], which transformers does not store, are this
            project's own where the file lacks them.

    Raises:
        ArtifactError: no readable config there, or one of another architecture.
    """
    path = folder / CONFIG_FILE
    settings = _read_settings(path)
    for name, value in FIXED_SETTINGS.items():
        if settings.get(name, value) != value:
            raise ArtifactError(
                f"{path}: {name} = {settings[name]!r}, but this encoder only has {value!r}; "
                "choose another model"
            )
    try:
        return _encoder_config(settings, special_ids or _special_ids(settings))
    except KeyError as missing:
        raise ArtifactError(
            f"{path} lacks {missing}; choose a folder with a whole model"
        ) from missing
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ArtifactError(f"{path}: {error}; choose another model") from error


def settings_for(config: EncoderConfig, architecture: str) -> dict[str, Any]:
    """What `config.json` says about an encoder of these sizes."""
    thetas = {FULL: config.global_rope_theta, SLIDING: config.local_rope_theta}
    return FIXED_SETTINGS | {
        "architectures": [architecture],
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.max_position_embeddings,
        "norm_eps": config.norm_eps,
        "initializer_range": config.initializer_range,
        "initializer_cutoff_factor": 2.0,
        "local_attention": config.local_attention,
        "global_attn_every_n_layers": config.global_attn_every_n_layers,
        "layer_types": [
            FULL if config.is_full_layer(k) else SLIDING for k in range(config.num_layers)
        ],
        "global_rope_theta": config.global_rope_theta,
        "local_rope_theta": config.local_rope_theta,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in thetas.items()
        },
        "tie_word_embeddings": config.tie_embeddings,
        "dtype": "float32",
        "torch_dtype": "float32",
        **_special_id_settings(config),
        **_inactive_settings(),
    }


def _special_id_settings(config: EncoderConfig) -> dict[str, int]:
    return {
        "pad_token_id": config.pad_id,
        "unk_token_id": config.unk_id,
        "cls_token_id": config.cls_id,
        "bos_token_id": config.cls_id,
        "sep_token_id": config.sep_id,
        "eos_token_id": config.sep_id,
        "mask_token_id": config.mask_id,
    }


def _inactive_settings() -> dict[str, Any]:
    """Parts of the layout that this encoder leaves switched off."""
    return {
        "attention_dropout": 0.0,
        "embedding_dropout": 0.0,
        "mlp_dropout": 0.0,
        "classifier_dropout": 0.0,
        "classifier_pooling": "mean",
        "sparse_prediction": False,
        "sparse_pred_ignore_index": -100,
        "deterministic_flash_attn": False,
    }


def _encoder_config(settings: dict[str, Any], special_ids: Mapping[str, int]) -> EncoderConfig:
    global_theta, local_theta = _rope_thetas(settings)
    num_layers = settings["num_hidden_layers"]
    return EncoderConfig(
        vocab_size=settings["vocab_size"],
        hidden_size=settings["hidden_size"],
        num_layers=num_layers,
        num_heads=settings["num_attention_heads"],
        intermediate_size=settings["intermediate_size"],
        max_position_embeddings=settings["max_position_embeddings"],
        global_rope_theta=global_theta,
        local_rope_theta=local_theta,
        local_attention=settings.get("local_attention", 128),
        global_attn_every_n_layers=_full_layer_spacing(settings, num_layers),
        norm_eps=settings.get("norm_eps", 1e-5),
        initializer_range=settings.get("initializer_range", 0.02),
        tie_embeddings=bool(settings.get("tie_word_embeddings", True)),
        **special_ids,
    )


def _special_ids(settings: dict[str, Any]) -> dict[str, int]:
    return {
        "pad_id": settings["pad_token_id"],
        "unk_id": settings.get("unk_token_id", 1),
        "cls_id": settings["cls_token_id"],
        "sep_id": settings["sep_token_id"],
        "mask_id": settings.get("mask_token_id", 4),
    }


def _rope_thetas(settings: dict[str, Any]) -> tuple[float, float]:
    """Of full and of sliding-window layers, in the spelling of transformers 5, else of 4.48."""
    rope = settings.get("rope_parameters") or {}
    parts = {kind: rope.get(kind) or {} for kind in (FULL, SLIDING)}
    scalings = [settings.get("rope_scaling"), *parts.values()]
    for scaling in filter(None, scalings):
        kind = scaling.get("rope_type", "default")
        if kind != "default":
            raise ValueError(f"its rotary positions are scaled (rope_type = {kind!r})")
    global_theta = settings.get("global_rope_theta", 160000.0)
    local_theta = settings.get("local_rope_theta", 10000.0)
    global_theta = parts[FULL].get("rope_theta", global_theta)
    local_theta = parts[SLIDING].get("rope_theta", local_theta)
    # In 4.48 none means: as in full layers.
    return global_theta, global_theta if local_theta is None else local_theta


def _full_layer_spacing(settings: dict[str, Any], num_layers: int) -> int:
    """The n of "every n-th layer is full" that gives `layer_types`, else as stated."""
    kinds = settings.get("layer_types")
    if kinds is None:
        return int(settings.get("global_attn_every_n_layers", 3))
    full = [kind == FULL for kind in kinds]
    if len(full) != num_layers:
        raise ValueError(f"it has {len(full)} layer_types for {num_layers} layers")
    spacing = full.index(True, 1) if True in full[1:] else num_layers
    if full != [layer % spacing == 0 for layer in range(num_layers)]:
        raise ValueError("its layer_types follow no regular spacing of full layers")
    return spacing


def _save(
    weights: dict[str, Tensor], config: EncoderConfig, architecture: str, folder: Path
) -> None:
    settings = settings_for(config, architecture)
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
    on_cpu = {name: value.detach().float().cpu().contiguous() for name, value in weights.items()}
    save_file(on_cpu, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = read_json(path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; choose a folder with a saved model") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not JSON ({error}); choose another model") from error
    if not isinstance(settings, dict):
        raise ArtifactError(f"{path} is no JSON object; choose another model")
    return settings


def _shapes(
    kind: Callable[[EncoderConfig], nn.Module],
    config: EncoderConfig,
    stored: Mapping[str, StoredTensor],
    folder: Path,
) -> dict[str, tuple[int, ...]]:
    """The shapes that a model of this kind has, found without memory for its weights.

    A config may ask for any size, so one that the stored tensors could not fill is refused first.
    """
    width = config.hidden_size
    largest = width * max(config.vocab_size, 3 * width, 2 * config.intermediate_size)
    num_elements = sum(tensor.num_elements for tensor in stored.values())
    if config.num_layers > len(stored) or largest > num_elements:
        raise ArtifactError(
            f"{folder / CONFIG_FILE} describes a larger model than its weights are; choose a "
            "folder whose parts belong together"
        )
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in kind(config).state_dict().items()}


def _refuse_other_decoder(decoder: StoredTensor, embedding_VD: Tensor, folder: Path) -> None:
    """Some writers store a tied decoder as well; then both must say the same."""
    if not torch.equal(read_tensors({DECODER_KEY: decoder})[DECODER_KEY], embedding_VD):
        raise ArtifactError(
            f"{folder / CONFIG_FILE}: tie_word_embeddings is true, but {DECODER_KEY} is stored and "
            "is not the embedding table; set it to false there"
        )
