"""Sentences of like length side by side, so that what is done for each runs for many at once.

Values of words lie one after another, sentence by sentence; a batch says which of them make up a
padded rectangle.

Letters: N words of all sentences, A sentences of all, S sentences in a batch, W words of its
longest one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BATCH_WORDS = 2048


@dataclass(frozen=True)
class SentenceBatch:
    """A rectangle of words.

    Attributes:
        sentence_S: int64, which sentences they are, in [0, A).
        word_SW: int64, where each word stands among the N; 0 on padding.
        is_word_SW: bool, False on padding.
    """

    sentence_S: Tensor
    word_SW: Tensor
    is_word_SW: Tensor

    def laid_out(self, values_N: Tensor) -> Tensor:
        """Values of the words as a rectangle: [N, ...] becomes [S, W, ...], 0 on padding."""
        laid_out = values_N[self.word_SW]
        shape = (*self.is_word_SW.shape, *[1] * (values_N.ndim - 1))
        return laid_out.masked_fill(~self.is_word_SW.view(shape), 0)


def sentence_batches(
    length_A: Tensor, *, batch_words: int = BATCH_WORDS, device: torch.device | str = "cpu"
) -> list[SentenceBatch]:
    """Deal sentences to batches, the shortest first.

    Args:
        length_A: int64, words of each sentence, at least 1, in the order the words lie.
        batch_words: most words of a batch, padding counted; one longer sentence is a batch.
        device: where the batches' tensors go.
    """
    length_A = length_A.cpu()
    start_A = length_A.cumsum(0) - length_A
    batches: list[SentenceBatch] = []
    held: list[int] = []
    for sentence in length_A.argsort(stable=True).tolist():
        longest = int(length_A[sentence])
        if held and (len(held) + 1) * longest > batch_words:
            batches.append(_batch(torch.tensor(held), length_A, start_A, device))
            held = []
        held.append(sentence)
    if held:
        batches.append(_batch(torch.tensor(held), length_A, start_A, device))
    return batches


def _batch(
    sentence_S: Tensor, length_A: Tensor, start_A: Tensor, device: torch.device | str
) -> SentenceBatch:
    length_S1 = length_A[sentence_S, None]
    place_W = torch.arange(int(length_S1.max()))
    is_word_SW = place_W < length_S1
    word_SW = torch.where(is_word_SW, start_A[sentence_S, None] + place_W, 0)
    return SentenceBatch(sentence_S.to(device), word_SW.to(device), is_word_SW.to(device))
