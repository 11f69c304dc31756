"""Chooses short sentences out of tokenized documents, for people to look at.

A sentence is told by its tokens alone: it goes on to a token that ends in a full stop or its like,
or in a line break. An abbreviation ends one too.
"""

from collections.abc import Iterator, Sequence

from tasks.probe.sample import Tokens
from tasks.token_text import TokenText

_ENDS = (".", "!", "?", "…", "।", "。", "！", "？")
_CLOSING = " \t\"')]}’”»」』）"


def example_sentences(
    documents: Sequence[Tokens],
    text: TokenText,
    *,
    num: int = 3,
    min_tokens: int = 8,
    max_tokens: int = 22,
) -> list[Tokens]:
    """The first whole sentence of fitting length of each document in turn, until there are `num`.

    Where too few documents have one, the leading tokens of the longest others follow, cut at
    `max_tokens`. Fewer than `num` come back where there are fewer documents.

    Args:
        documents: raw token ids, no special tokens.
        text: spells them.
        num: how many are wanted.
        min_tokens: no chosen sentence is shorter.
        max_tokens: none is longer.
    """
    chosen: list[Tokens] = []
    others: list[Tokens] = []
    for document in documents:
        if len(chosen) == num:
            return chosen
        fitting = (
            one
            for one in _sentences(document, text)
            if min_tokens <= len(one) <= max_tokens and _reads_well(text.spell(one))
        )
        sentence = next(fitting, None)
        if sentence is None:
            others.append(document)
        else:
            chosen.append(sentence)
    others.sort(key=len, reverse=True)
    return chosen + [one[:max_tokens] for one in others if len(one)][: num - len(chosen)]


def _sentences(document: Tokens, text: TokenText) -> Iterator[Tokens]:
    """The whole sentences of a document in order; what follows the last end is none."""
    start = 0
    for place, token_id in enumerate(document):
        spelled = text.spell([int(token_id)])
        if "\n" in spelled or spelled.rstrip(_CLOSING).endswith(_ENDS):
            yield document[start : place + 1]
            start = place + 1


def _reads_well(sentence: str) -> bool:
    """Whether it begins like a sentence, ends like one, and is letters for the most part."""
    plain = sentence.strip()
    letters = sum(each.isalpha() or each == " " for each in plain)
    begins = plain[:1].isalpha() and not plain[:1].islower()
    ends = plain.rstrip(_CLOSING).endswith(_ENDS)
    return begins and ends and letters >= 0.8 * len(plain)
