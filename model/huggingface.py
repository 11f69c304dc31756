"""Encoders as folders that Hugging Face's ModernBERT classes load, and back.

A folder holds `config.json` and `model.safetensors`; nothing needs converting, because our
modules carry the names of theirs. Both spellings of the rotary settings and layer types are
written (transformers 4.48 and later, and 5).
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.config import EncoderConfig
from model.encoder import Encoder
from model.errors import ArtifactError
from model.mlm import MaskedLanguageModel

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
ENCODER_PREFIX = "model."
TIED_KEY = "decoder.weight"  # shared with the embedding table, stored once
EMBEDDING_KEY = "model.embeddings.tok_embeddings.weight"
Model = TypeVar("Model", bound=nn.Module)

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
    "tie_word_embeddings": True,
}


def save_masked_lm(model: MaskedLanguageModel, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors` for `AutoModelForMaskedLM` into `folder`."""
    weights = {name: value for name, value in model.state_dict().items() if name != TIED_KEY}
    _save(weights, model.config, "ModernBertForMaskedLM", folder)


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors` for `AutoModel` into `folder`."""
    _save(encoder.state_dict(), encoder.config, "ModernBertModel", folder)


def load_masked_lm(folder: Path) -> MaskedLanguageModel:
    """The masked language model in `folder`, float32, on the CPU.

    Raises:
        ArtifactError: no such model there, or its weights do not fit its config.
    """
    model = MaskedLanguageModel(encoder_config_from(folder))
    weights = _read_weights(folder)
    if EMBEDDING_KEY in weights:
        weights[TIED_KEY] = weights[EMBEDDING_KEY]
    return _filled(model, weights, folder)


def load_encoder(folder: Path) -> Encoder:
    """The encoder in `folder`, alone or inside a masked language model, float32, on the CPU.

    Raises:
        ArtifactError: no such model there, or its weights do not fit its config.
    """
    weights = _read_weights(folder)
    if any(name.startswith(ENCODER_PREFIX) for name in weights):
        weights = {
            name.removeprefix(ENCODER_PREFIX): value
            for name, value in weights.items()
            if name.startswith(ENCODER_PREFIX)
        }
    return _filled(Encoder(encoder_config_from(folder)), weights, folder)


def encoder_config_from(folder: Path) -> EncoderConfig:
    """The sizes that `folder`'s `config.json` states.

    The ids of [UNK] and [MASK], which transformers does not store, are this project's own where
    the file lacks them.

    Raises:
        ArtifactError: no readable config there, or one of another architecture.
    """
    settings = _read_settings(folder / CONFIG_FILE)
    for name, value in FIXED_SETTINGS.items():
        if settings.get(name, value) != value:
            raise ArtifactError(
                f"{folder / CONFIG_FILE}: {name} = {settings[name]!r}, but this encoder only has "
                f"{value!r}; choose another model"
            )
    try:
        return _encoder_config(settings)
    except KeyError as missing:
        raise ArtifactError(
            f"{folder / CONFIG_FILE} lacks {missing}; choose a folder with a whole model"
        ) from missing
    except ValueError as error:
        raise ArtifactError(f"{folder / CONFIG_FILE}: {error}") from error


def settings_for(config: EncoderConfig, architecture: str) -> dict[str, Any]:
    """What `config.json` says about an encoder of these sizes."""
    thetas = (config.global_rope_theta, config.local_rope_theta)
    kinds = ("full_attention", "sliding_attention")
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
        "layer_types": [kinds[not config.is_full_layer(k)] for k in range(config.num_layers)],
        "global_rope_theta": config.global_rope_theta,
        "local_rope_theta": config.local_rope_theta,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": theta}
            for kind, theta in zip(kinds, thetas, strict=True)
        },
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


def _encoder_config(settings: dict[str, Any]) -> EncoderConfig:
    rope = settings.get("rope_parameters") or {}
    global_theta = rope.get("full_attention", {}).get("rope_theta")
    local_theta = rope.get("sliding_attention", {}).get("rope_theta")
    num_layers = settings["num_hidden_layers"]
    return EncoderConfig(
        vocab_size=settings["vocab_size"],
        hidden_size=settings["hidden_size"],
        num_layers=num_layers,
        num_heads=settings["num_attention_heads"],
        intermediate_size=settings["intermediate_size"],
        max_position_embeddings=settings["max_position_embeddings"],
        global_rope_theta=global_theta or settings.get("global_rope_theta", 160000.0),
        local_rope_theta=local_theta or settings.get("local_rope_theta", 10000.0),
        local_attention=settings.get("local_attention", 128),
        global_attn_every_n_layers=_full_layer_spacing(settings, num_layers),
        norm_eps=settings.get("norm_eps", 1e-5),
        pad_id=settings["pad_token_id"],
        unk_id=settings.get("unk_token_id", 1),
        cls_id=settings["cls_token_id"],
        sep_id=settings["sep_token_id"],
        mask_id=settings.get("mask_token_id", 4),
        initializer_range=settings.get("initializer_range", 0.02),
    )


def _full_layer_spacing(settings: dict[str, Any], num_layers: int) -> int:
    """The n of "every n-th layer is full" that gives `layer_types`, else as stated."""
    kinds = settings.get("layer_types")
    if kinds is None:
        return int(settings.get("global_attn_every_n_layers", 3))
    full = [kind == "full_attention" for kind in kinds]
    for spacing in range(1, num_layers + 1):
        if full == [layer % spacing == 0 for layer in range(num_layers)]:
            return spacing
    raise ValueError("its layer_types follow no regular spacing of full layers")


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
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; choose a folder with a saved model") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON ({error}); choose another model") from error
    if not isinstance(settings, dict):
        raise ArtifactError(f"{path} is no JSON object; choose another model")
    return settings


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    try:
        weights: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; choose a folder with a saved model") from error
    except SafetensorError as error:
        raise ArtifactError(f"{path} is damaged ({error}); write it again") from error
    return weights


def _filled(model: Model, weights: dict[str, Tensor], folder: Path) -> Model:
    wanted = model.state_dict()
    if wrong := sorted(set(wanted) ^ set(weights)):
        raise ArtifactError(
            f"{folder / WEIGHTS_FILE}: missing or unexpected {', '.join(wrong[:3])}"
            f"{' …' if len(wrong) > 3 else ''}; its config.json describes another model"
        )
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            raise ArtifactError(
                f"{folder / WEIGHTS_FILE}: {name} has shape {list(weights[name].shape)} where "
                f"config.json asks for {list(value.shape)}"
            )
    model.load_state_dict(weights)
    return model
