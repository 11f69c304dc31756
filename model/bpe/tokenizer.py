"""The tokenizer that learned merges define, as the text of a Hugging Face `tokenizer.json`.

Ids: five special tokens, the alphabet, the merges in order, then `[unused…]` entries that round
the embedding table up. No id of a special token can come out of text: the file lists no added
tokens, and no merge spells one, because every pattern cuts at the brackets. So "[MASK]" in a
document is data.

Over bytes (the default), every string survives encoding and decoding. Over characters, the classic
formulation, the end of each word between white space is marked by U+E000, written `[EoW]` for
people; the symbol stands alone at first, and merges join it to what ends words. What that loses:
decoding turns each run of white space into one blank, and drops it at both ends; a character
that the training text does not have becomes [UNK]; a U+E000 in the text becomes U+FFFD.

No two merges spell the same token, so ids and strings are one to one. Within a span that becomes
a token nothing merges across its ends, and then what happens inside depends on the span alone
(runs are paired from its first symbol on); so a string has one derivation.
"""

import json
from collections.abc import Sequence
from typing import Any

from model.bpe.alphabet import BYTES, Alphabet
from model.bpe.reference import Pair

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Their ids are their places here: 0 to 4."""

NUM_FIXED_TOKENS = len(SPECIAL_TOKENS) + len(BYTES)
"""Tokens that every byte-level vocabulary has before its first merge."""

END_OF_WORD = "\ue000"
"""Marks the end of a word in a vocabulary of characters."""

NO_MARKER = "\ufffd"
"""What stands for a marker that is in the text itself."""

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""Where text is cut before merging: the rules published with GPT-2 and with GPT-4 (tiktoken)."""


def spell_symbols(merges: Sequence[Pair], alphabet: Alphabet = BYTES) -> list[bytes]:
    """The UTF-8 bytes of every symbol: the alphabet in order, then the merges."""
    spelling = list(alphabet.spelling)
    for left, right in merges:
        spelling.append(spelling[left] + spelling[right])
    return spelling


def padded_size(num_tokens: int, pad_to_multiple: int) -> int:
    """The size of an embedding table for `num_tokens`, rounded up to a multiple."""
    return -(-num_tokens // pad_to_multiple) * pad_to_multiple


def spell_merges(merges: Sequence[Pair], alphabet: Alphabet = BYTES) -> list[tuple[str, str]]:
    """The merges as pairs of tokens as the file writes them."""
    names = [alphabet.name(spelling) for spelling in spell_symbols(merges, alphabet)]
    return [(names[left], names[right]) for left, right in merges]


def tokenizer_json(
    merges: Sequence[Pair],
    *,
    pattern: str,
    alphabet: Alphabet = BYTES,
    pad_to_multiple: int = 64,
) -> str:
    """The text of `tokenizer.json`; the same merges always give the same bytes.

    Args:
        merges: pairs of symbol ids, best first.
        pattern: a key of `PATTERNS`; characters are cut at white space and brackets instead.
        alphabet: the symbols that the merges begin with.
        pad_to_multiple: the vocabulary is rounded up to a multiple of this.
    """
    parts = _byte_level_parts(pattern) if alphabet.is_bytes else _character_parts()
    definition: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": parts["normalizer"],
        "pre_tokenizer": parts["pre_tokenizer"],
        "post_processor": None,
        "decoder": parts["decoder"],
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": parts["unk_token"],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": _ids(merges, alphabet, pad_to_multiple),
            "merges": spell_merges(merges, alphabet),
        },
    }
    return json.dumps(definition, ensure_ascii=False, separators=(",", ":")) + "\n"


def pre_tokenizer(pattern: str) -> dict[str, Any]:
    """The part of `tokenizer.json` that cuts text by the named pattern and spells out bytes."""
    split = _split(PATTERNS[pattern])
    return {"type": "Sequence", "pretokenizers": [split, _byte_level()]}


def _byte_level_parts(pattern: str) -> dict[str, Any]:
    return {
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer(pattern),
        "decoder": _byte_level(),
        "unk_token": None,
    }


def _character_parts() -> dict[str, Any]:
    """Marks the ends of words, then cuts at white space, and at brackets with the mark after."""
    steps = [
        _replace({"String": END_OF_WORD}, NO_MARKER),
        _replace({"Regex": r"(?<=\S)(?=\s|\z)"}, END_OF_WORD),
    ]
    cuts = [{"type": "WhitespaceSplit"}, _split(rf"[\[\]]{END_OF_WORD}?")]
    return {
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts},
        "decoder": {"type": "BPEDecoder", "suffix": END_OF_WORD},
        "unk_token": SPECIAL_TOKENS[1],
    }


def _ids(merges: Sequence[Pair], alphabet: Alphabet, pad_to_multiple: int) -> dict[str, int]:
    names = [alphabet.name(spelling) for spelling in spell_symbols(merges, alphabet)]
    tokens = [*SPECIAL_TOKENS, *names]
    num_unused = padded_size(len(tokens), pad_to_multiple) - len(tokens)
    tokens += [f"[unused{number}]" for number in range(num_unused)]
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    assert len(ids) == len(tokens), "two tokens are spelled alike"
    return ids


def _split(expression: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": expression},
        "behavior": "Isolated",
        "invert": False,
    }


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _byte_level() -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
