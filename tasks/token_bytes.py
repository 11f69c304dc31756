"""Says how many bytes of text each token stands for, so that losses compare across vocabularies.

What a token's name stands for is read from the tokenizer's own definition:

- byte level: every character of a name is one byte;
- a mark for the space (Metaspace, or a Replace in the decoder): one byte, the space;
- an end-of-word mark (BPEDecoder, `end_of_word_suffix`): one byte, the space that it stands for;
- a prefix for what continues a word (`##`): no text;
- byte fallback: `<0x41>` is one byte;
- every other character: its UTF-8 bytes.

The sum over the tokens of a text is the number of its bytes where the tokenizer loses nothing.
Otherwise it differs by what that tokenizer loses or adds: white space between words counts for
nothing where no token stands for it (WordPiece, words); a run of white space counts as one byte
where an end-of-word mark stands for it, and the end of the text counts as one more; a mark that
is put before a text's first word counts as one byte; a character of the text that is itself such
a mark counts as one byte; unknown text counts for nothing; and where text is normalised first,
the bytes are those of the normalised text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from model.bpe.tokenizer import SPECIAL_TOKENS

_UNUSED = re.compile(r"\[unused[0-9]+\]")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def is_placeholder(name: str) -> bool:
    """Whether a token of this name is special or rounds the table up: it stands for no text."""
    return name in SPECIAL_TOKENS or _UNUSED.fullmatch(name) is not None


def is_byte(name: str) -> bool:
    """Whether a token of this name is a byte, in a model that falls back to bytes."""
    return _BYTE.fullmatch(name) is not None


def token_bytes(tokenizer: Tokenizer, vocab_size: int) -> list[int]:
    """UTF-8 bytes of text that each id stands for.

    Args:
        tokenizer: any that the vocab stage writes.
        vocab_size: length of the answer, at least the tokenizer's.

    Returns:
        One number an id: 0 for special and unused ids, for the unknown token, and for ids that
        no token has.
    """
    definition = json.loads(tokenizer.to_str())
    spelling = _Spelling.of(definition)
    unknown = unknown_name(definition["model"])
    sizes = [0] * vocab_size
    for name, token_id in tokenizer.get_vocab().items():
        if name != unknown and not is_placeholder(name):
            sizes[token_id] = spelling.num_bytes(name)
    return sizes


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
class _Spelling:
    """How names are written.

    Attributes:
        byte_characters: those that stand for one byte each; empty where names are plain text.
        prefixes: marks of what continues a word; no text.
        suffixes: marks of a word's end; one byte.
        marks: what stands for other text inside names, and that text.
        has_byte_names: whether `<0x41>` is a byte.
    """

    byte_characters: frozenset[str]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]
    has_byte_names: bool

    @classmethod
    def of(cls, definition: dict[str, Any]) -> Self:
        """Read it from a tokenizer.json."""
        model = definition["model"]
        parts = ("normalizer", "pre_tokenizer", "decoder")
        every = [step for part in parts for step in steps(definition[part])]
        decoding = list(steps(definition["decoder"]))
        is_byte_level = any(step["type"] == "ByteLevel" for step in every)
        prefixes = [step["prefix"] for step in decoding if step["type"] == "WordPiece"]
        suffixes = [step["suffix"] for step in decoding if step["type"] == "BPEDecoder"]
        prefixes.append(model.get("continuing_subword_prefix"))
        suffixes.append(model.get("end_of_word_suffix"))
        return cls(
            byte_characters=frozenset(ByteLevel.alphabet() if is_byte_level else ()),
            prefixes=tuple(dict.fromkeys(filter(None, prefixes))),
            suffixes=tuple(dict.fromkeys(filter(None, suffixes))),
            marks=tuple(dict.fromkeys(_marks(every, decoding))),
            has_byte_names=bool(model.get("byte_fallback")),
        )

    def num_bytes(self, name: str) -> int:
        """Bytes of text that a token of this name stands for."""
        if self.has_byte_names and is_byte(name):
            return 1
        num_spaces = 0
        for prefix in self.prefixes:
            if len(name) > len(prefix):
                name = name.removeprefix(prefix)
        for suffix in self.suffixes:
            num_spaces += name.endswith(suffix)
            name = name.removesuffix(suffix)
        for mark, text in self.marks:
            name = name.replace(mark, text)
        return num_spaces + sum(
            1 if character in self.byte_characters else len(character.encode())
            for character in name
        )


def _marks(
    every: list[dict[str, Any]], decoding: list[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    for step in every:
        if step["type"] == "Metaspace":
            yield step["replacement"], " "
    for step in decoding:
        if step["type"] == "Replace" and "String" in step["pattern"]:
            yield step["pattern"]["String"], step["content"]
