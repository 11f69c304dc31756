"""The tokenizer that learned merges define, as the text of a Hugging Face `tokenizer.json`.

Ids: five special tokens, the 256 bytes, the merges in order, then `[unused…]` entries that round
the embedding table up. No id of a special token can come out of text: the file lists no added
tokens, and no merge spells one, because every pattern cuts at the brackets. So "[MASK]" in a
document is data, and every byte string survives encoding and decoding.

No two merges spell the same token, so ids and strings are one to one. Within a span that becomes
a token nothing merges across its ends, and then what happens inside depends on the span alone
(runs are paired from its first symbol on); so a string has one derivation.
"""

import json
from collections.abc import Sequence
from typing import Any

from model.bpe.alphabet import BYTE_OF_SYMBOL, NUM_BYTES, printable
from model.bpe.reference import Pair

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Their ids are their places here: 0 to 4."""

NUM_FIXED_TOKENS = len(SPECIAL_TOKENS) + NUM_BYTES
"""Tokens that every vocabulary has before its first merge."""

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""Where text is cut before merging: the rules published with GPT-2 and with GPT-4 (tiktoken)."""


def spell_symbols(merges: Sequence[Pair]) -> list[bytes]:
    """The bytes of every symbol: the 256 bytes in symbol order, then the merges."""
    spelling = [bytes([byte]) for byte in BYTE_OF_SYMBOL]
    for left, right in merges:
        spelling.append(spelling[left] + spelling[right])
    return spelling


def padded_size(num_tokens: int, pad_to_multiple: int) -> int:
    """The size of an embedding table for `num_tokens`, rounded up to a multiple."""
    return -(-num_tokens // pad_to_multiple) * pad_to_multiple


def spell_merges(merges: Sequence[Pair]) -> list[tuple[str, str]]:
    """The merges as pairs of printable tokens."""
    tokens = [printable(spelling) for spelling in spell_symbols(merges)]
    return [(tokens[left], tokens[right]) for left, right in merges]


def tokenizer_json(merges: Sequence[Pair], *, pattern: str, pad_to_multiple: int = 64) -> str:
    """The text of `tokenizer.json`; the same merges always give the same bytes.

    Args:
        merges: pairs of symbol ids, best first.
        pattern: a key of `PATTERNS`.
        pad_to_multiple: the vocabulary is rounded up to a multiple of this.
    """
    definition: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer(pattern),
        "post_processor": None,
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": _ids(merges, pad_to_multiple),
            "merges": spell_merges(merges),
        },
    }
    return json.dumps(definition, ensure_ascii=False, separators=(",", ":")) + "\n"


def pre_tokenizer(pattern: str) -> dict[str, Any]:
    """The part of `tokenizer.json` that cuts text by the named pattern and spells out bytes."""
    split = {
        "type": "Split",
        "pattern": {"Regex": PATTERNS[pattern]},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"type": "Sequence", "pretokenizers": [split, _byte_level()]}


def _byte_level() -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }


def _ids(merges: Sequence[Pair], pad_to_multiple: int) -> dict[str, int]:
    """Every token's id, in the order of ids."""
    tokens = [*SPECIAL_TOKENS, *(printable(spelling) for spelling in spell_symbols(merges))]
    num_unused = padded_size(len(tokens), pad_to_multiple) - len(tokens)
    tokens += [f"[unused{number}]" for number in range(num_unused)]
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    assert len(ids) == len(tokens), "two merges spell the same token"
    return ids
