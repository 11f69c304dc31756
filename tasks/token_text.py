"""Spells tokens for people: the text each stands for, and nothing in it that could mislead them.

The text of a token is read from the tokenizer's own definition, as `tasks.token_bytes` does, but
with the blanks that its decoder would put between words: decoding a few tokens at a time would
lose those, and characters that are cut into several tokens as well.
"""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from tokenizers import Tokenizer

from model.bpe.alphabet import BYTE_CHARACTERS
from tasks.token_bytes import is_byte, is_placeholder, steps, unknown_name

_BYTE_OF = {character: bytes([byte]) for byte, character in enumerate(BYTE_CHARACTERS)}
_JOINERS = "\u200c\u200d"  # shape letters and pictures; without them such text cannot be read


class TokenText:
    """The text of single tokens and of runs of them.

    Args:
        tokenizer: any that the vocab stage writes.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._spelling = _Spelling.of(json.loads(tokenizer.to_str()))

    def spell(self, token_ids: Iterable[int]) -> str:
        """The text that the tokens stand for, one after another; half characters as ``\\xe2``."""
        spelled = b"".join(self._bytes_of(token_id) for token_id in token_ids)
        return spelled.decode(errors="backslashreplace")

    def _bytes_of(self, token_id: int) -> bytes:
        name = self._tokenizer.id_to_token(token_id)
        return f" [id {token_id}]".encode() if name is None else self._spelling.bytes_of(name)


def visible(text: str) -> str:
    """The text on one line, with signs in place of what cannot be seen or would turn the line.

    Line ends, tabs and control characters become ⏎, ⇥ and pictures; marks of direction, lone
    separators and other characters without a shape become escapes like ``\\u202e``.
    """
    shown = _JOINERS if text.strip(_JOINERS) else ""
    return "".join(each if each in shown else _sign(each) for each in text)


def _sign(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\n\t":
        return "⏎" if character == "\n" else "⇥"
    point = ord(character)
    if point < 0x20 or point == 0x7F:
        return chr(0x2400 + point) if point < 0x20 else "␡"
    if unicodedata.category(character) == "Zs":
        return " "
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


@dataclass(frozen=True)
class _Spelling:
    """How names are written.

    Attributes:
        unknown: the name of the unknown token.
        is_byte_level: whether every character of a name is a byte.
        prefixes: marks of what continues a word; every other token begins one.
        suffixes: marks of a word's end.
        marks: what stands for other text inside names, and that text.
        has_byte_names: whether `<0x41>` is a byte.
    """

    unknown: str | None
    is_byte_level: bool
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]
    has_byte_names: bool

    @classmethod
    def of(cls, definition: dict[str, Any]) -> Self:
        """Read it from a tokenizer.json."""
        model = definition["model"]
        decoding = list(steps(definition["decoder"]))
        parts = ("normalizer", "pre_tokenizer", "decoder")
        every = [step for part in parts for step in steps(definition[part])]
        prefixes = [step["prefix"] for step in decoding if step["type"] == "WordPiece"]
        suffixes = [step["suffix"] for step in decoding if step["type"] == "BPEDecoder"]
        spaces = [(step["replacement"], " ") for step in every if step["type"] == "Metaspace"]
        replaced = [
            (step["pattern"]["String"], step["content"])
            for step in decoding
            if step["type"] == "Replace" and "String" in step["pattern"]
        ]
        return cls(
            unknown=unknown_name(model),
            is_byte_level=any(step["type"] == "ByteLevel" for step in every),
            prefixes=tuple(filter(None, [*prefixes, model.get("continuing_subword_prefix")])),
            suffixes=tuple(filter(None, [*suffixes, model.get("end_of_word_suffix")])),
            marks=tuple([*spaces, *replaced]),
            has_byte_names=bool(model.get("byte_fallback")),
        )

    def bytes_of(self, name: str) -> bytes:
        """UTF-8 bytes of the text that a token of this name stands for, blanks included."""
        if name == self.unknown or is_placeholder(name):
            return (" " * self._begins_word(name) + name).encode()
        if self.has_byte_names and is_byte(name):
            return bytes([int(name[3:-1], 16)])
        if self.is_byte_level:
            return b"".join(_BYTE_OF.get(character) or character.encode() for character in name)
        return self._text_of(name).encode()

    def _text_of(self, name: str) -> str:
        begins_word = self._begins_word(name)
        for prefix in self.prefixes:
            name = name.removeprefix(prefix) if name != prefix else name
        name = " " * begins_word + name
        for suffix in self.suffixes:
            if name.endswith(suffix):
                name = name.removesuffix(suffix) + " "
        for mark, text in self.marks:
            name = name.replace(mark, text)
        return name

    def _begins_word(self, name: str) -> bool:
        """Whether the decoder puts a blank before the token because its name says nothing else."""
        if self.prefixes:
            return not any(name.startswith(mark) and name != mark for mark in self.prefixes)
        return not (self.is_byte_level or self.suffixes or self.marks)
