"""The words of an observed sample, each with what stands around it.

A word here is a token of letters alone that has no letter or digit before or behind it in the text;
lower and upper case are one. Words that the tokenizer cuts are none.

Letters: N tokens of the sample, W those of them that are words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.probe.observe import Observed
from tasks.token_text import TokenText
from tasks.visible_text import visible

Int64s = NDArray[np.int64]
_SNIPPET_LETTERS = 34  # to each side of the word
_SNIPPET_TOKENS = 16  # looked at for them, at most


@dataclass(frozen=True)
class Occurrence:
    """A word with what stands before and behind it, each on one line."""

    before: str
    word: str
    after: str


class Words:
    """The words of a sample, in the order of its text.

    Attributes:
        names: W words in lower case.
        words_of: where each name stands among them.
        row_W: int64, the row of each among the sample's N states.

    Args:
        observed: from `tasks.probe.observe.observe_sample`, which bounds its memory by the sample.
        text: spells tokens.
    """

    def __init__(self, observed: Observed, text: TokenText) -> None:
        # Batches are packed; a stable sort by document brings the text's order back.
        order_N = torch.argsort(observed.document_N, stable=True)
        self._text = text
        self._types_N: Int64s = observed.types_N[order_N].cpu().numpy()
        self._document_N: Int64s = observed.document_N[order_N].cpu().numpy()
        types, inverse_N = np.unique(self._types_N, return_inverse=True)
        spelled = [text.spell([int(each)]) for each in types]
        place_W = np.flatnonzero(_are_words(spelled, inverse_N, self._document_N))
        names = [each.strip().casefold() for each in spelled]
        self._place_W: Int64s = place_W
        self.names: list[str] = [names[each] for each in inverse_N[place_W]]
        self.words_of: dict[str, list[int]] = {}
        for word, name in enumerate(self.names):
            self.words_of.setdefault(name, []).append(word)
        self.row_W = order_N[torch.from_numpy(place_W).to(order_N.device)]

    def occurrence(self, word: int) -> Occurrence:
        """One of the W with its surroundings inside its document."""
        place = int(self._place_W[word])
        same = np.flatnonzero(self._document_N == self._document_N[place])
        first, last = int(same[0]), int(same[-1])
        before = self._text.spell(
            self._types_N[max(first, place - _SNIPPET_TOKENS) : place].tolist()
        )
        after = self._text.spell(
            self._types_N[place + 1 : min(last, place + _SNIPPET_TOKENS) + 1].tolist()
        )
        own = self._text.spell([int(self._types_N[place])])
        return Occurrence(
            _last_letters(_one_line(before + own[: len(own) - len(own.lstrip())])),
            visible(own.strip()),
            _first_letters(_one_line(own[len(own.rstrip()) :] + after)),
        )


def _are_words(spelled: Sequence[str], inverse_N: Int64s, document_N: Int64s) -> NDArray[np.bool_]:
    """Which tokens are words; the last of a document may go on past the sample, so it is none."""
    letters = np.array([each.strip().isalpha() for each in spelled], np.bool_)
    opens = np.array([not each[:1].isalnum() for each in spelled], np.bool_)
    closes = np.array([not each[-1:].isalnum() for each in spelled], np.bool_)
    is_first_N = np.append(True, document_N[1:] != document_N[:-1])
    is_last_N = np.append(is_first_N[1:], True)
    begins_N = opens[inverse_N] | is_first_N | np.append(True, closes[inverse_N][:-1])
    ends_N = closes[inverse_N] | np.append(opens[inverse_N][1:], False)
    is_word_N: NDArray[np.bool_] = letters[inverse_N] & begins_N & ends_N & ~is_last_N
    return is_word_N


def _one_line(text: str) -> str:
    return visible(re.sub(r"\s+", " ", text))


def _last_letters(text: str) -> str:
    if len(text) <= _SNIPPET_LETTERS:
        return text
    return "…" + (text[-_SNIPPET_LETTERS:].partition(" ")[2] or text[-_SNIPPET_LETTERS:])


def _first_letters(text: str) -> str:
    if len(text) <= _SNIPPET_LETTERS:
        return text
    return (text[:_SNIPPET_LETTERS].rpartition(" ")[0] or text[:_SNIPPET_LETTERS]) + "…"
