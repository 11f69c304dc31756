"""Finds out which tokens of a given tokenizer pad, frame, mask and stand for unknown text.

Other people call them otherwise (`<pad>`, `<s>`, `<|endoftext|>`), and say so in several places.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import ArtifactError
from model.huggingface import CONFIG_FILE
from model.json_files import read_json
from tasks.token_names import unknown_name

SETTINGS_FILE = "tokenizer_config.json"
NAMES_FILE = "special_tokens_map.json"  # beside tokenizer_config.json in transformers 4
ROLES = ("pad", "unk", "cls", "sep", "mask")
USUAL_NAMES = (SPECIAL_TOKENS, ("<pad>", "<unk>", "<s>", "</s>", "<mask>"))  # BERT's, RoBERTa's
STAND_INS = {"cls": "bos", "sep": "eos"}  # what frames a text where nothing else is said to


def special_ids(folder: Path, tokenizer: Tokenizer) -> dict[str, int]:
    """Ids by role (pad, unk, cls, sep, mask), as far as anything tells them.

    The first of these that names a token of the tokenizer counts: `tokenizer_config.json`,
    `special_tokens_map.json`, the model's unknown token, what the post-processor puts around text,
    ids in `config.json` (they are often left at defaults, so only those of special tokens), and
    the names that BERT and RoBERTa use, where they are special tokens.

    Args:
        folder: where the tokenizer lies.
        tokenizer: its `tokenizer.json`.

    Raises:
        ArtifactError: one of the files is no JSON object.
    """
    ids: dict[str, int] = {}
    for source in _told(folder, tokenizer):
        ids = source | ids  # what was said before counts
    for role, stand_in in STAND_INS.items():
        if stand_in in ids:
            ids.setdefault(role, ids[stand_in])
    return {role: ids[role] for role in ROLES if role in ids}


def _told(folder: Path, tokenizer: Tokenizer) -> Iterator[dict[str, int]]:
    """What each source says, the most trustworthy first."""
    definition = json.loads(tokenizer.to_str())
    special = {token["content"] for token in definition["added_tokens"] if token["special"]}
    unknown = unknown_name(definition["model"])
    yield _known(tokenizer, _named(_settings(folder / SETTINGS_FILE)))
    yield _known(tokenizer, _named(_settings(folder / NAMES_FILE)))
    yield _known(tokenizer, {"unk": unknown} if unknown else {})
    yield _known(tokenizer, _frame(definition["post_processor"]))
    numbered = _numbered(_settings(folder / CONFIG_FILE), tokenizer)
    yield _known(tokenizer, {role: name for role, name in numbered.items() if name in special})
    for usual in USUAL_NAMES:
        names = dict(zip(ROLES, usual, strict=True))
        yield _known(tokenizer, {role: name for role, name in names.items() if name in special})


def _known(tokenizer: Tokenizer, names: dict[str, str]) -> dict[str, int]:
    """The ids of those names that the tokenizer has."""
    ids = {role: tokenizer.token_to_id(name) for role, name in names.items()}
    return {role: token_id for role, token_id in ids.items() if token_id is not None}


def _named(settings: dict[str, Any]) -> dict[str, str]:
    """Entries such as ``"mask_token": "<mask>"``, also where they are spelled out as objects."""
    names: dict[str, str] = {}
    for role in (*ROLES, *STAND_INS.values()):
        name = settings.get(f"{role}_token")
        if isinstance(name, dict):
            name = name.get("content")
        if isinstance(name, str):
            names[role] = name
    return names


def _numbered(settings: dict[str, Any], tokenizer: Tokenizer) -> dict[str, str]:
    """Entries such as ``"mask_token_id": 4``, as names."""
    names: dict[str, str] = {}
    for role in (*ROLES, *STAND_INS.values()):
        token_id = settings.get(f"{role}_token_id")
        if isinstance(token_id, int) and 0 <= token_id < 2**31:
            name = tokenizer.id_to_token(token_id)
            names |= {role: name} if name is not None else {}
    return names


def _frame(part: dict[str, Any] | None) -> dict[str, str]:
    """What a post-processor puts before and after a text."""
    if part is None:
        return {}
    if part["type"] == "Sequence":
        return {role: name for each in part["processors"] for role, name in _frame(each).items()}
    if part["type"] in ("BertProcessing", "RobertaProcessing"):
        return {"cls": part["cls"][0], "sep": part["sep"][0]}
    if part["type"] != "TemplateProcessing":
        return {}
    template = part["single"]
    ends = {"cls": template[0], "sep": template[-1]}
    return {
        role: piece["SpecialToken"]["id"] for role, piece in ends.items() if "SpecialToken" in piece
    }


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        settings = read_json(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not JSON ({error}); write it again") from error
    if not isinstance(settings, dict):
        raise ArtifactError(f"{path} is no JSON object; write it again")
    return settings
