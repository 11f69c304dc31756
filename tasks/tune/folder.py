"""Writes an embedder as a folder that sentence-transformers loads without this project."""

import json
import shutil
from pathlib import Path
from typing import Any

from model.encoder import Encoder
from model.huggingface import save_encoder
from tasks.embedder import EmbedderSummary

_TOKENIZER_CONFIG = "tokenizer_config.json"
_MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    ("1_Pooling", "sentence_transformers.models.Pooling"),
    ("2_Normalize", "sentence_transformers.models.Normalize"),
)


def write_embedder(
    folder: Path, encoder: Encoder, about: EmbedderSummary, tokenizer_folder: Path
) -> None:
    """Write encoder, tokenizer and the description of both kinds.

    Args:
        folder: exists; files of the same names are overwritten.
        encoder: its weights are written in float32.
        about: what embedder.json will say.
        tokenizer_folder: where pretraining put the tokenizer's files.
    """
    save_encoder(encoder, folder)
    _copy_tokenizer(tokenizer_folder, folder, about.max_window_tokens)
    about.write(folder)
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
    (folder / "1_Pooling").mkdir(exist_ok=True)
    _write_json(folder / "1_Pooling" / "config.json", _pooling(about.dim))


def _pooling(dim: int) -> dict[str, Any]:
    return {
        "word_embedding_dimension": dim,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "include_prompt": True,
    }


def _copy_tokenizer(source: Path, folder: Path, max_window_tokens: int) -> None:
    for name in ("tokenizer.json", "special_tokens_map.json"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    settings = json.loads((source / _TOKENIZER_CONFIG).read_text("utf-8"))
    _write_json(folder / _TOKENIZER_CONFIG, settings | {"model_max_length": max_window_tokens})


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
