"""Spells tokens for people: the text each stands for.

The text of a token is read from the tokenizer's own definition, as `tasks.token_bytes` does, but
with the blanks that its decoder would put between words: decoding a few tokens at a time would
lose those, and characters that are cut into several tokens as well.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer

from model.bpe.alphabet import BYTE_CHARACTERS
from tasks.token_names import TokenNames, is_byte

_BYTE_OF = {character: bytes([byte]) for byte, character in enumerate(BYTE_CHARACTERS)}


class TokenText:
    """The text of single tokens and of runs of them.

    Args:
        tokenizer: any that the vocab stage writes.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._spelling = _Spelling(TokenNames.of(json.loads(tokenizer.to_str())))

    def spell(self, token_ids: Iterable[int]) -> str:
        """The text that the tokens stand for, one after another; half characters as ``\\xe2``."""
        spelled = b"".join(self._bytes_of(token_id) for token_id in token_ids)
        return spelled.decode(errors="backslashreplace")

    def _bytes_of(self, token_id: int) -> bytes:
        name = self._tokenizer.id_to_token(token_id)
        return f" [id {token_id}]".encode() if name is None else self._spelling.bytes_of(name)


@dataclass(frozen=True)
class _Spelling:
    """The text of names.

    Attributes:
        names: how they are written.
    """

    names: TokenNames

    def bytes_of(self, name: str) -> bytes:
        """UTF-8 bytes of the text that a token of this name stands for, blanks included."""
        if not self.names.stands_for_text(name):
            return (" " * self._begins_word(name) + name).encode()
        if self.names.has_byte_names and is_byte(name):
            return bytes([int(name[3:-1], 16)])
        if self.names.is_byte_level:
            return b"".join(_BYTE_OF.get(character) or character.encode() for character in name)
        return self._text_of(name).encode()

    def _text_of(self, name: str) -> str:
        begins_word = self._begins_word(name)
        for prefix in self.names.prefixes:
            name = name.removeprefix(prefix) if name != prefix else name
        name = " " * begins_word + name
        for suffix in self.names.suffixes:
            if name.endswith(suffix):
                name = name.removesuffix(suffix) + " "
        for mark, text in self.names.marks:
            name = name.replace(mark, text)
        return name

    def _begins_word(self, name: str) -> bool:
        """Whether the decoder puts a blank before the token because its name says nothing else."""
        if self.names.prefixes:
            return not any(name.startswith(mark) and name != mark for mark in self.names.prefixes)
        return not (self.names.is_byte_level or self.names.suffixes or self.names.marks)
