"""The tokenizer beside an encoder, so that transformers cuts and frames text as we do."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from model.config import EncoderConfig
from model.errors import ArtifactError
from tasks.given_tokenizers import read_given_tokenizer
from tasks.special_roles import SETTINGS_FILE
from tasks.token_bytes import token_bytes

TOKENIZER_FILE = "tokenizer.json"


class TokenizerFiles:
    """The learned tokenizer with what transformers has to know about it.

    Args:
        path: `tokenizer.json` as the vocab stage left it.
        config: says the special ids and the longest sequence.

    Raises:
        ArtifactError: the file is no tokenizer, or its special tokens have other ids.
    """

    def __init__(self, path: Path, config: EncoderConfig) -> None:
        self._tokenizer = read_tokenizer(path)
        self._names = _special_names(self._tokenizer, config, path)
        self._max_tokens = config.max_position_embeddings
        cls, sep = self._names["cls_token"], self._names["sep_token"]
        self._tokenizer.post_processor = TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B {sep}",
            special_tokens=[(cls, config.cls_id), (sep, config.sep_id)],
        )

    def write(self, folder: Path) -> None:
        """Writes `tokenizer.json` and `tokenizer_config.json`."""
        definition = self._tokenizer.to_str(pretty=True)
        (folder / TOKENIZER_FILE).write_text(definition + "\n", encoding="utf-8")
        settings = json.dumps(self._settings(), indent=2, sort_keys=True)
        (folder / SETTINGS_FILE).write_text(settings + "\n", encoding="utf-8")

    def token_bytes(self, vocab_size: int) -> list[int]:
        """UTF-8 bytes that each id stands for; 0 for ids that stand for no text."""
        return token_bytes(self._tokenizer, vocab_size)

    def _settings(self) -> dict[str, Any]:
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": self._max_tokens,
            # Text that looks like a special token is data.
            "split_special_tokens": True,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            **self._names,
        }


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`.

    Raises:
        ArtifactError: the file is no tokenizer.
    """
    try:
        return read_given_tokenizer(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is no tokenizer ({error}); choose another folder") from error


def _special_names(tokenizer: Tokenizer, config: EncoderConfig, path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for kind in ("pad", "unk", "cls", "sep", "mask"):
        name = f"[{kind.upper()}]"
        if tokenizer.token_to_id(name) != getattr(config, f"{kind}_id"):
            raise ArtifactError(
                f"{path}: {name} has id {tokenizer.token_to_id(name)}, not "
                f"{getattr(config, f'{kind}_id')}; learn the vocabulary again"
            )
        names[f"{kind}_token"] = name
    return names
