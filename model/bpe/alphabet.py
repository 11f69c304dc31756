"""The symbols that merging begins with: the 256 bytes, or the characters of a corpus.

A byte-level vocabulary writes every byte as one printable character (Radford et al. 2019, GPT-2,
section 2.2): printable Latin-1 bytes as themselves, the other 68 as the code points from 256 on.
Symbol ids follow the code points of the characters that tokens are written in, as in Hugging
Face's trainer; ids decide between pairs of equal frequency, so the order is part of the result.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model.bpe.words import CountedWords, Int64s
from model.errors import CorpusError

NUM_BYTES = 256

Int32s = npt.NDArray[np.int32]


def _byte_characters() -> tuple[str, ...]:
    as_themselves = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(NUM_BYTES) if byte not in as_themselves]
    stand_in = {byte: chr(NUM_BYTES + rank) for rank, byte in enumerate(others)}
    return tuple(stand_in.get(byte, chr(byte)) for byte in range(NUM_BYTES))


BYTE_CHARACTERS = _byte_characters()
"""The printable character of each byte."""


@dataclass(frozen=True)
class Alphabet:
    """The symbols that words are first split into.

    Attributes:
        spelling: the UTF-8 bytes of each symbol, by id: single bytes, or one character each.
        is_bytes: whether they are the 256 bytes.
    """

    spelling: tuple[bytes, ...]
    is_bytes: bool

    def __len__(self) -> int:
        return len(self.spelling)

    def name(self, spelling: bytes) -> str:
        """How a token of these bytes is written in `tokenizer.json`."""
        if self.is_bytes:
            return "".join(BYTE_CHARACTERS[byte] for byte in spelling)
        return spelling.decode()

    def split(self, word: bytes) -> tuple[int, ...]:
        """The symbols of one word.

        Raises:
            KeyError: the word has a character outside the alphabet.
        """
        parts = (
            [word[i : i + 1] for i in range(len(word))]
            if self.is_bytes
            else [character.encode() for character in word.decode()]
        )
        return tuple(self._symbol_of[part] for part in parts)

    def split_all(self, words: CountedWords) -> tuple[Int32s, Int64s]:
        """The symbols of all words one after another, and how many each word has."""
        if self.is_bytes:
            return self._symbol_of_byte[words.text_N], words.lengths
        is_first = (words.text_N & 0xC0) != 0x80
        starts = np.cumsum(words.lengths) - words.lengths
        lengths = np.add.reduceat(is_first, starts, dtype=np.int64) if len(words) else starts
        symbols = np.searchsorted(self._code_points, code_points_of(words)).astype(np.int32)
        return symbols, lengths

    @cached_property
    def _symbol_of(self) -> dict[bytes, int]:
        return {spelling: symbol for symbol, spelling in enumerate(self.spelling)}

    @cached_property
    def _symbol_of_byte(self) -> Int32s:
        return np.argsort([spelling[0] for spelling in self.spelling]).astype(np.int32)

    @cached_property
    def _code_points(self) -> npt.NDArray[np.uint32]:
        return np.array([ord(spelling.decode()) for spelling in self.spelling], dtype=np.uint32)


BYTES = Alphabet(
    spelling=tuple(
        bytes([byte]) for byte in sorted(range(NUM_BYTES), key=BYTE_CHARACTERS.__getitem__)
    ),
    is_bytes=True,
)
"""The alphabet of byte-level vocabularies."""


def characters_of(words: CountedWords, *, max_characters: int) -> Alphabet:
    """The characters that words are written in, by code point.

    Raises:
        CorpusError: there are more of them than the vocabulary has room for.
    """
    found = np.unique(code_points_of(words))
    if len(found) > max_characters:
        raise CorpusError(
            f"the training text is written in {len(found):,} characters, more than the "
            f"{max_characters:,} tokens that vocab.vocab_size leaves for them: raise it, or use "
            "vocab.symbols = bytes, which needs 256"
        )
    return Alphabet(tuple(chr(point).encode() for point in found.tolist()), is_bytes=False)


def code_points_of(words: CountedWords) -> npt.NDArray[np.uint32]:
    """The characters of all words one after another, uint32."""
    return np.frombuffer(words.text_N.tobytes().decode().encode("utf-32-le"), dtype="<u4")
