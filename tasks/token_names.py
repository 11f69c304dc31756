"""Says how a tokenizer writes the names of its tokens, from its own definition."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from model.bpe.tokenizer import SPECIAL_TOKENS

_UNUSED = re.compile(r"\[unused[0-9]+\]")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def is_placeholder(name: str) -> bool:
    """Whether a token of this name is special or rounds the table up: it stands for no text."""
    return name in SPECIAL_TOKENS or _UNUSED.fullmatch(name) is not None


def is_byte(name: str) -> bool:
    """Whether a token of this name is a byte, in a model that falls back to bytes."""
    return _BYTE.fullmatch(name) is not None


def unknown_name(model: dict[str, Any]) -> str | None:
    """The name of the unknown token in the `model` section of a tokenizer.json, if it has one."""
    if model["type"] != "Unigram":
        name: str | None = model["unk_token"]
        return name
    return None if model["unk_id"] is None else model["vocab"][model["unk_id"]][0]


def steps(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The steps of a normalizer, pre_tokenizer or decoder section, sequences taken apart."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for inner in part.get("normalizers") or part.get("pretokenizers") or part.get("decoders") or ():
        yield from steps(inner)


@dataclass(frozen=True)
class TokenNames:
    """How names are written.

    Attributes:
        unknown: the name of the unknown token.
        is_byte_level: whether characters of a name stand for one byte each.
        has_byte_names: whether `<0x41>` is a byte.
        prefixes: marks of what continues a word.
        suffixes: marks of a word's end.
        marks: what stands for other text inside names, and that text.
    """

    unknown: str | None
    is_byte_level: bool
    has_byte_names: bool
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, definition: dict[str, Any]) -> Self:
        """Read it from a tokenizer.json."""
        model = definition["model"]
        parts = ("normalizer", "pre_tokenizer", "decoder")
        every = [step for part in parts for step in steps(definition[part])]
        decoding = list(steps(definition["decoder"]))
        prefixes = [step["prefix"] for step in decoding if step["type"] == "WordPiece"]
        suffixes = [step["suffix"] for step in decoding if step["type"] == "BPEDecoder"]
        prefixes.append(model.get("continuing_subword_prefix"))
        suffixes.append(model.get("end_of_word_suffix"))
        return cls(
            unknown=unknown_name(model),
            is_byte_level=any(step["type"] == "ByteLevel" for step in every),
            has_byte_names=bool(model.get("byte_fallback")),
            prefixes=tuple(dict.fromkeys(filter(None, prefixes))),
            suffixes=tuple(dict.fromkeys(filter(None, suffixes))),
            marks=tuple(dict.fromkeys(_marks(every, decoding))),
        )

    def stands_for_text(self, name: str) -> bool:
        """Whether a token of this name is neither special nor unused nor the unknown one."""
        return name != self.unknown and not is_placeholder(name)


def _marks(
    every: list[dict[str, Any]], decoding: list[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    for step in every:
        if step["type"] == "Metaspace":
            yield step["replacement"], " "
    for step in decoding:
        if step["type"] == "Replace" and "String" in step["pattern"]:
            yield step["pattern"]["String"], step["content"]
