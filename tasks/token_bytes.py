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

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from tasks.token_names import TokenNames, is_byte

_BYTE_CHARACTERS = frozenset(ByteLevel.alphabet())


def token_bytes(tokenizer: Tokenizer, vocab_size: int) -> list[int]:
    """UTF-8 bytes of text that each id stands for.

    Args:
        tokenizer: any that the vocab stage writes.
        vocab_size: length of the answer, at least the tokenizer's.

    Returns:
        One number an id: 0 for special and unused ids, for the unknown token, and for ids that
        no token has.
    """
    names = TokenNames.of(json.loads(tokenizer.to_str()))
    sizes = [0] * vocab_size
    for name, token_id in tokenizer.get_vocab().items():
        if names.stands_for_text(name):
            sizes[token_id] = _num_bytes(name, names)
    return sizes


def _num_bytes(name: str, names: TokenNames) -> int:
    """Bytes of text that a token of this name stands for."""
    if names.has_byte_names and is_byte(name):
        return 1
    num_spaces = 0
    for prefix in names.prefixes:
        if len(name) > len(prefix):
            name = name.removeprefix(prefix)
    for suffix in names.suffixes:
        num_spaces += name.endswith(suffix)
        name = name.removesuffix(suffix)
    for mark, text in names.marks:
        name = name.replace(mark, text)
    single = _BYTE_CHARACTERS if names.is_byte_level else frozenset()
    return num_spaces + sum(
        1 if character in single else len(character.encode()) for character in name
    )
