"""Says between which tokens a word goes on, so that training can mask whole words.

A word is an unbroken run of letters, marks, digits and underscores, as in `\\w+`: white space and
punctuation end it. Scripts that put no spaces between words (Chinese, Japanese, Thai and some
more) tell no words; there every token stands for itself, but a character that is cut into bytes
stays whole.

What a token's name says about its text is read from the tokenizer's own definition and from what
it makes of a space:

- byte level: every character of a name is one byte;
- byte fallback: `<0x41>` is one byte;
- a prefix for what continues a word (`##`): names without it begin a word;
- a mark for the space (Metaspace, a Replace, a byte level's): a word begins there;
- a mark for the end of a word (`</w>`, a normalizer's): a word ends there;
- a model of whole words (WordLevel): no word has two tokens.

A mark that is a token of its own belongs to the word that it marks.
A name has the same flags wherever it stands, and that leaves two guesses. A token that ends before
its first character does goes on with a word if three in four characters that begin so would. After
a token of a character's last bytes alone a word may go on, so that letters right after a rare sign
in bytes count to it.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import regex
from tokenizers import Tokenizer

from model.bpe.alphabet import BYTE_CHARACTERS
from model.errors import ArtifactError
from model.masking import WordJoins
from tasks.token_names import TokenNames, is_byte

_SPACELESS = "Han Hiragana Katakana Bopomofo Yi Thai Lao Khmer Myanmar Tibetan".split()
_SCRIPTS = "".join(rf"\p{{Script={name}}}" for name in _SPACELESS)
_IN_WORD = regex.compile(rf"(?V1)[[\p{{L}}\p{{M}}\p{{N}}_]--[{_SCRIPTS}ー]]")
_ASSIGNED = regex.compile(r"[^\p{Cn}\p{Cs}]")

_LARGEST_SAMPLE = 4096  # characters looked at to see what those with the same first bytes are
_BYTE_OF = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}


def word_joins(tokenizer: Tokenizer, vocab_size: int) -> WordJoins:
    """Which ids go on with a word, and after which a word may go on.

    Args:
        tokenizer: any that the vocab stage writes.
        vocab_size: length of both arrays, at least the tokenizer's.

    Returns:
        Flags that are False for special and unused ids, for the unknown token, and for ids that no
        token has.

    Raises:
        ArtifactError: the tokenizer drops white space and marks neither the beginnings nor the
            ends of words, so that nothing tells where they are.
    """
    definition = json.loads(tokenizer.to_str())
    starts, ends = np.zeros((2, vocab_size), dtype=np.bool_)
    if definition["model"]["type"] == "WordLevel":
        return WordJoins(starts, ends)
    written = TokenNames.of(definition)
    names = _Names.of(tokenizer, definition["model"], written)
    for name, token_id in tokenizer.get_vocab().items():
        if written.stands_for_text(name):
            starts[token_id], ends[token_id] = names.goes_on(name)
    return WordJoins(starts, ends)


@dataclass(frozen=True)
class _Names:
    """How names are written.

    Attributes:
        is_byte_level: whether a character of a name is a byte.
        has_byte_names: whether `<0x41>` is a byte.
        prefix: before what continues a word; empty where there is none.
        beginnings: what stands for the space before a word.
        ends: what stands for the end of a word.
    """

    is_byte_level: bool
    has_byte_names: bool
    prefix: str
    beginnings: tuple[str, ...]
    ends: tuple[str, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer, model: dict[str, Any], written: TokenNames) -> Self:
        """Read it from a tokenizer and from its definition."""
        prefix = model.get("continuing_subword_prefix") or ""
        space, end = _written_marks(tokenizer)
        ends = tuple(filter(None, (end, model.get("end_of_word_suffix"))))
        if not (prefix or space or ends):
            raise ArtifactError(
                "the tokenizer drops white space and marks neither beginnings nor ends of words, "
                "so whole words cannot be told; set pretrain.whole_words = false or choose another "
                "vocab.tokenizer"
            )
        return cls(
            is_byte_level=written.is_byte_level,
            has_byte_names=written.has_byte_names,
            prefix=prefix,
            beginnings=(space,) if space else (),
            ends=ends,
        )

    def goes_on(self, name: str) -> tuple[bool, bool]:
        """Whether a word goes on into a token of this name, and whether it may go on after it."""
        if name in self.beginnings or name in self.ends:
            return name in self.ends, name in self.beginnings
        text = self._bytes(name)
        if not text:
            return False, False
        begins = not name.startswith(self.prefix) or name.startswith(self.beginnings)
        ends = name.endswith((*self.beginnings, *self.ends))
        return not begins and _begins_in_word(text), not ends and _ends_in_word(text)

    def _bytes(self, name: str) -> bytes:
        """The text of a name with its marks for the space and the end, in UTF-8."""
        if self.has_byte_names and is_byte(name):
            return bytes([int(name[3:5], 16)])
        if len(name) > len(self.prefix):
            name = name.removeprefix(self.prefix)
        if not self.is_byte_level:
            return name.encode()
        return b"".join(
            bytes([_BYTE_OF[character]]) if character in _BYTE_OF else character.encode()
            for character in name
        )


def _written_marks(tokenizer: Tokenizer) -> tuple[str, str]:
    """What the model reads for the space before a word, and for the end of one, seen in "a a".

    Either is empty where nothing stands for it; both are where white space is lost, or where so
    little is left of the text that nothing can be seen.
    """
    text = "a a"
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    if tokenizer.pre_tokenizer is not None:
        text = "".join(part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    if text.count("a") != 2:
        return "", ""
    _, between, after = text.split("a")
    return ("", after) if after else (between, "")


def _begins_in_word(text: bytes) -> bool:
    """Whether the first character belongs to a word, or is the rest of one that began before."""
    if _continues(text[0]):
        return True
    size = _character_bytes(text[0])
    if size > len(text):
        return _mostly_in_word(text, size)
    return _is_in_word(text[:size])


def _ends_in_word(text: bytes) -> bool:
    """Whether the last character belongs to a word, or is not whole, or began before the text."""
    first = len(text) - 1
    while first > 0 and _continues(text[first]):
        first -= 1
    last = text[first:]
    if _continues(last[0]) or _character_bytes(last[0]) > len(last):
        return True
    return _is_in_word(last)


def _is_in_word(character: bytes) -> bool:
    return _IN_WORD.fullmatch(character.decode(errors="replace")) is not None


def _continues(byte: int) -> bool:
    """Whether a byte is not the first one of its character in UTF-8."""
    return byte & 0xC0 == 0x80


def _character_bytes(first_byte: int) -> int:
    """How many bytes a character has that begins with this one; 1 where none does."""
    if 0xC2 <= first_byte <= 0xF4:
        return 2 + (first_byte >= 0xE0) + (first_byte >= 0xF0)
    return 1


@cache
def _mostly_in_word(beginning: bytes, size: int) -> bool:
    """Whether three in four characters of `size` bytes that begin so belong to words.

    Half would not do: more than that share the first byte of Thai and Lao, whose texts would
    then be one word each.
    """
    bits = 6 * (size - len(beginning))
    lowest = beginning[0] & (0xFF >> (size + 1))
    for byte in beginning[1:]:
        lowest = lowest << 6 | byte & 0x3F
    least = {2: 0x80, 3: 0x800, 4: 0x10000}[size]
    points = range(max(least, lowest << bits), min((lowest + 1) << bits, 0x110000))
    sample = "".join(map(chr, points[:: max(1, len(points) // _LARGEST_SAMPLE)]))
    return 4 * len(_IN_WORD.findall(sample)) > 3 * len(_ASSIGNED.findall(sample))
