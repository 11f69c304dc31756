"""The 256 byte symbols: their printable stand-ins, and the ids that break ties.

A byte-level vocabulary writes every byte as one printable character (Radford et al. 2019, GPT-2,
section 2.2): printable Latin-1 bytes as themselves, the other 68 as the code points from 256 on.
Symbol ids follow the code points of those characters, not the bytes, as in Hugging Face's
trainer; ids decide between pairs of equal frequency, so the order is part of the result.
"""

import numpy as np
import numpy.typing as npt

NUM_BYTES = 256


def _byte_characters() -> tuple[str, ...]:
    as_themselves = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(NUM_BYTES) if byte not in as_themselves]
    stand_in = {byte: chr(NUM_BYTES + rank) for rank, byte in enumerate(others)}
    return tuple(stand_in.get(byte, chr(byte)) for byte in range(NUM_BYTES))


BYTE_CHARACTERS = _byte_characters()
"""The printable character of each byte."""

BYTE_OF_SYMBOL = tuple(sorted(range(NUM_BYTES), key=BYTE_CHARACTERS.__getitem__))
"""The byte that each of the symbols 0..255 stands for."""

SYMBOL_OF_BYTE = tuple(BYTE_OF_SYMBOL.index(byte) for byte in range(NUM_BYTES))
"""The symbol of each byte."""

_SYMBOLS = np.array(SYMBOL_OF_BYTE, dtype=np.int32)


def symbols_of(text: bytes) -> npt.NDArray[np.int32]:
    """The symbols of a byte string, int32 of the same length."""
    return _SYMBOLS[np.frombuffer(text, dtype=np.uint8)]


def printable(text: bytes) -> str:
    """A byte string in its printable stand-ins, as tokens are written in `tokenizer.json`."""
    return "".join(BYTE_CHARACTERS[byte] for byte in text)
