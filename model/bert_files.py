"""BERT from a folder as transformers writes it: `config.json` and safetensors."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.bert import Bert, BertConfig, BertMaskedLanguageModel
from model.errors import ArtifactError
from model.json_files import read_json
from model.weight_files import StoredTensor, read_tensors, refuse_misfit, stored_tensors

CONFIG_FILE = "config.json"

# What this module calls a part; the old spelling of a norm's numbers is found in the first models.
_RENAMED = (
    (r"^(bert|cls)\.", ""),
    (r"gamma$", "weight"),
    (r"beta$", "bias"),
    (r"^embeddings\.word_embeddings\.", "embeddings.tokens."),
    (r"^embeddings\.position_embeddings\.", "embeddings.positions."),
    (r"^embeddings\.token_type_embeddings\.", "embeddings.segments."),
    (r"^embeddings\.LayerNorm\.", "embeddings.norm."),
    (r"^encoder\.layer\.(\d+)\.", r"layers.\1."),
    (r"\.attention\.self\.", "."),
    (r"\.attention\.output\.dense\.", ".attention_out."),
    (r"\.attention\.output\.LayerNorm\.", ".attention_norm."),
    (r"\.intermediate\.dense\.", ".widen."),
    (r"^(layers\.\d+)\.output\.dense\.", r"\1.narrow."),
    (r"^(layers\.\d+)\.output\.LayerNorm\.", r"\1.norm."),
    (r"^predictions\.transform\.dense\.", "dense."),
    (r"^predictions\.transform\.LayerNorm\.", "norm."),
    (r"^predictions\.bias$", "bias"),
)
# Stored beside what counts: copies, counters, and heads that nothing here asks.
_IGNORED = re.compile(
    r"^(bert\.)?(pooler\.|embeddings\.position_ids$)|^cls\.(seq_relationship\.|predictions\.decoder\.)"
    r"|^(classifier|qa_outputs)\."
)
_FIXED: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
_HEAD_PARTS = {"dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias"}


def bert_config_from(folder: Path, special_ids: Mapping[str, int]) -> BertConfig:
    """The sizes that `folder`'s `config.json` states.

    Args:
        folder: holds the file.
        special_ids: the ids of its tokenizer, by name: `pad_id`, `unk_id`, `cls_id`, `sep_id`,
            `mask_id`; the file does not have them.

    Raises:
        ArtifactError: no readable config there, or one of another architecture.
    """
    path = folder / CONFIG_FILE
    try:
        settings: dict[str, Any] = read_json(path)
        for name, value in _FIXED.items():
            if settings.get(name, value) != value:
                raise ValueError(f"{name} = {settings[name]!r}, but only {value!r} is known here")
        return _config(settings, special_ids)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} describes no BERT that can be read ({error}); choose another folder"
        ) from error


def load_bert(folder: Path, special_ids: Mapping[str, int]) -> Bert:
    """The encoder in `folder`, alone or below heads, float32, on the CPU.

    Raises:
        ArtifactError: no such model there, or its weights do not fit its config.
    """
    model = _load(folder, special_ids, with_head=False)
    assert isinstance(model, Bert)
    return model


def load_bert_masked_lm(folder: Path, special_ids: Mapping[str, int]) -> BertMaskedLanguageModel:
    """The masked language model in `folder`, float32, on the CPU; its decoder is its token table.

    Raises:
        ArtifactError: no such model there, its weights do not fit its config, or it has no head.
    """
    model = _load(folder, special_ids, with_head=True)
    assert isinstance(model, BertMaskedLanguageModel)
    return model


def has_masked_lm_head(folder: Path) -> bool:
    """Whether the weights in `folder` hold what reads tokens off hidden states.

    Raises:
        ArtifactError: the folder holds no readable weights.
    """
    return set(_stored(folder)) >= _HEAD_PARTS


def _load(
    folder: Path, special_ids: Mapping[str, int], *, with_head: bool
) -> Bert | BertMaskedLanguageModel:
    config = bert_config_from(folder, special_ids)
    stored = _stored(folder)
    if with_head:
        stored = {
            name if name in _HEAD_PARTS else f"model.{name}": value
            for name, value in stored.items()
        }
    else:
        stored = {name: value for name, value in stored.items() if name not in _HEAD_PARTS}
    _refuse_too_small(config, stored, folder)
    with torch.device("meta"):
        model = BertMaskedLanguageModel(config) if with_head else Bert(config)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    refuse_misfit(stored, shapes, folder)
    model.load_state_dict(read_tensors(stored), assign=True)
    return model


def _stored(folder: Path) -> dict[str, StoredTensor]:
    """What is stored and counts, under the names that the modules have."""
    renamed: dict[str, StoredTensor] = {}
    stored = stored_tensors(folder, counts=lambda name: not _IGNORED.search(name))
    for name, tensor in stored.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def _refuse_too_small(config: BertConfig, stored: Mapping[str, StoredTensor], folder: Path) -> None:
    """A config may ask for any size; one that the stored tensors could not fill is refused."""
    tables = (config.vocab_size, config.max_position_embeddings, config.num_segments)
    largest = config.hidden_size * max(config.hidden_size, config.intermediate_size, *tables)
    num_elements = sum(tensor.num_elements for tensor in stored.values())
    if config.num_layers > len(stored) or largest > num_elements:
        raise ArtifactError(
            f"{folder / CONFIG_FILE} describes a larger model than its weights are; choose a "
            "folder whose parts belong together"
        )


def _config(settings: Mapping[str, Any], special_ids: Mapping[str, int]) -> BertConfig:
    return BertConfig(
        vocab_size=settings["vocab_size"],
        hidden_size=settings["hidden_size"],
        num_layers=settings["num_hidden_layers"],
        num_heads=settings["num_attention_heads"],
        intermediate_size=settings["intermediate_size"],
        max_position_embeddings=settings["max_position_embeddings"],
        num_segments=settings.get("type_vocab_size", 2),
        norm_eps=settings.get("layer_norm_eps", 1e-12),
        initializer_range=settings.get("initializer_range", 0.02),
        **{name: special_ids[name] for name in ("pad_id", "unk_id", "cls_id", "sep_id", "mask_id")},
    )
