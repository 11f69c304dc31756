"""Keeps the ids of special tokens out of text, and lays vocabularies out around them.

A model that matches whole strings (Unigram, WordPiece, WordLevel, BPE with `ignore_merges`) finds
"[MASK]" in text wherever its vocabulary has that name. Scores and names cannot prevent it: a
Unigram's lowest score is also what unknown characters are charged by, so that a lower one for
"[MASK]" changes how other text is cut. What prevents it is a cut between the bracket and the rest
of such a name, made last before the model: no model joins what has been cut. All other text is
left as it was.
"""

from collections.abc import Iterable
from typing import Any

from model.bpe.tokenizer import SPECIAL_TOKENS, padded_size
from tasks.token_names import steps

_KINDS = "|".join(name.strip("[]") for name in SPECIAL_TOKENS)

GUARD_PATTERN = rf"\[(?=(?:{_KINDS}|unused[0-9]+)\])"
"""The bracket that begins the name of a special or an unused token."""

GUARD: dict[str, Any] = {
    "type": "Split",
    "pattern": {"Regex": GUARD_PATTERN},
    "behavior": "Isolated",
    "invert": False,
}
"""The pre_tokenizer that cuts there, as tokenizer.json writes it."""

_CUTS_AT_BRACKETS = ("BertPreTokenizer", "Whitespace")
_CUTTING_BEHAVIORS = ("Isolated", "Removed", "Contiguous")


def guarded(pre_tokenizer: dict[str, Any] | None) -> dict[str, Any]:
    """The pre_tokenizer with the guard as its last step."""
    if pre_tokenizer is None:
        return GUARD
    if pre_tokenizer["type"] == "Sequence":
        return {**pre_tokenizer, "pretokenizers": [*pre_tokenizer["pretokenizers"], GUARD]}
    return {"type": "Sequence", "pretokenizers": [pre_tokenizer, GUARD]}


def cuts_names(pre_tokenizer: dict[str, Any] | None) -> bool:
    """Whether the pre_tokenizer as it is always cuts between a bracket and a letter."""
    return any(
        step == GUARD
        or step["type"] in _CUTS_AT_BRACKETS
        or (step["type"] == "Punctuation" and step["behavior"] in _CUTTING_BEHAVIORS)
        for step in steps(pre_tokenizer)
    )


def lay_out(tokens: Iterable[str], pad_to_multiple: int) -> list[str]:
    """All names in the order of ids: special tokens, these tokens, unused ones up to a multiple.

    Args:
        tokens: none is named like a special token. Names of unused tokens that are among them
            are not given twice.
    """
    names = [*SPECIAL_TOKENS, *tokens]
    taken = set(names)
    number = 0
    for _ in range(padded_size(len(names), pad_to_multiple) - len(names)):
        while f"[unused{number}]" in taken:
            number += 1
        names.append(f"[unused{number}]")
        number += 1
    assert len(set(names)) == len(names), "two tokens have the same name"
    return names
