"""Writes an embedder as a folder that sentence-transformers loads without this project."""

import json
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from model.encoder import Encoder
from model.huggingface import save_encoder
from tasks.embedder import EmbedderSummary, load_tokenizer
from tasks.token_weight_files import FOLDER as WEIGHTS_FOLDER
from tasks.token_weight_files import write_token_weights

_TOKENIZER_CONFIG = "tokenizer_config.json"
_POOLING = "2_Pooling"
_MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    (WEIGHTS_FOLDER, "sentence_transformers.models.WordWeights"),
    (_POOLING, "sentence_transformers.models.Pooling"),
    ("3_Normalize", "sentence_transformers.models.Normalize"),
)


def write_embedder(
    folder: Path,
    encoder: Encoder,
    weights_V: Tensor,
    about: EmbedderSummary,
    tokenizer_folder: Path,
) -> None:
    """Write encoder, token weights, tokenizer and the description of both kinds.

    Args:
        folder: exists; files of the same names are overwritten.
        encoder: its weights are written in float32.
        weights_V: float32, how much each token counts in a document's vector.
        about: what embedder.json will say.
        tokenizer_folder: where pretraining put the tokenizer's files.
    """
    save_encoder(encoder, folder)
    _copy_tokenizer(tokenizer_folder, folder, about.max_window_tokens)
    about.write(folder)
    write_token_weights(folder, weights_V, _vocabulary(folder, len(weights_V)))
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": kind}
        for index, (path, kind) in enumerate(_MODULES)
    ]
    _write_json(folder / "modules.json", modules)
    _write_json(
        folder / "sentence_bert_config.json",
        {"max_seq_length": about.max_window_tokens, "do_lower_case": False},
    )
    _write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )
    (folder / _POOLING).mkdir(exist_ok=True)
    _write_json(folder / _POOLING / "config.json", _pooling(about.dim))


def _pooling(dim: int) -> dict[str, Any]:
    return {
        "word_embedding_dimension": dim,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "include_prompt": True,
    }


def _vocabulary(folder: Path, vocab_size: int) -> list[str]:
    """Every token by its id; ids that the tokenizer does not use have names of their own."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    return [tokenizer.id_to_token(index) or f"[unused {index}]" for index in range(vocab_size)]


def _copy_tokenizer(source: Path, folder: Path, max_window_tokens: int) -> None:
    for name in ("tokenizer.json", "special_tokens_map.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    settings = json.loads((source / _TOKENIZER_CONFIG).read_text("utf-8"))
    _write_json(folder / _TOKENIZER_CONFIG, settings | {"model_max_length": max_window_tokens})


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
