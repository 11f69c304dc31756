"""The distinct words of a corpus with their counts: all that the learner knows of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CountedWords:
    """Distinct words and how often each one stands in a corpus.

    Attributes:
        text_N: the words' UTF-8 bytes one after another, uint8.
        lengths: bytes of each word, int64.
        counts: of each word, int64.
    """

    text_N: Bytes
    lengths: Int64s
    counts: Int64s

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        text = self.text_N.tobytes()
        end = 0
        for length, count in zip(self.lengths.tolist(), self.counts.tolist(), strict=True):
            yield text[end : end + length], count
            end += length

    @property
    def num_bytes(self) -> int:
        """Bytes of the text that was counted."""
        return int(np.dot(self.lengths, self.counts))

    def first(self, num_words: int) -> "CountedWords":
        """The first words, which are the most frequent ones in what a counter returns."""
        lengths = self.lengths[:num_words]
        return CountedWords(self.text_N[: lengths.sum()], lengths, self.counts[:num_words])

    @classmethod
    def from_pairs(cls, words: Iterable[tuple[bytes, int]]) -> "CountedWords":
        """From words and counts, in their order; empty words are left out."""
        pairs = [(word, count) for word, count in words if word]
        return cls(
            text_N=np.frombuffer(b"".join(word for word, _ in pairs), dtype=np.uint8),
            lengths=np.array([len(word) for word, _ in pairs], dtype=np.int64),
            counts=np.array([count for _, count in pairs], dtype=np.int64),
        )
