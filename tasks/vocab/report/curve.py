"""What each vocabulary size is worth, from the one learning run: merges are learned in order, so
the first r of them are the vocabulary of that size.

Training text is known exactly at every size, from the learner's counts. Validation text is
encoded anew with tokenizers cut to the first merges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from model.bpe.learner import LearnedMerges
from model.bpe.tokenizer import END_OF_WORD, SPECIAL_TOKENS, tokenizer_json
from model.bpe.words import CountedWords
from tasks.stage import Metrics
from tasks.vocab.report.measures import Sample, measure, read

MAX_SIZES = 8
MIN_SIZES = 3
NUM_GRID_SIZES = 100
MEASURES = (
    "bytes_per_token",
    "fertility",
    "pieces_per_word",
    "words_kept_whole_frac",
    "renyi_efficiency",
    "unused_token_frac",
)


@dataclass(frozen=True)
class SizeRow:
    """One number of one vocabulary size, padding left out."""

    vocab_size: int
    split: str
    measure: str
    value: float


@dataclass(frozen=True, eq=False)
class Curve:
    """The measures over vocabulary sizes.

    Attributes:
        learned: the run.
        num_train_bytes: of the text that was counted; see `counted_bytes`.
        by_size: what validation text gives, by vocabulary size, smallest first.
    """

    learned: LearnedMerges
    num_train_bytes: int
    by_size: dict[int, Metrics]

    @property
    def smallest(self) -> int:
        """The size without merges."""
        return len(SPECIAL_TOKENS) + len(self.learned.alphabet)

    @property
    def full(self) -> int:
        """The size with all merges."""
        return self.smallest + len(self.learned.merges)

    def train_bytes_per_token(self, vocab_size: int) -> float:
        """Exactly, of the whole training text."""
        num_tokens = self.learned.num_tokens_after[vocab_size - self.smallest]
        return self.num_train_bytes / int(num_tokens)

    def rows(self) -> list[SizeRow]:
        """Training text on a grid of sizes, validation text at the measured ones."""
        rows = [
            SizeRow(size, "train", "bytes_per_token", self.train_bytes_per_token(size))
            for size in _grid(self.smallest, self.full, self.by_size)
        ]
        return rows + [
            SizeRow(size, "validation", name, measured[name])
            for size, measured in self.by_size.items()
            for name in MEASURES
        ]


def measure_curve(
    words: CountedWords,
    learned: LearnedMerges,
    sample: Sample,
    pattern: str,
    full_measures: Metrics,
) -> Curve:
    """Measure about eight sizes, each half of the next, to the whole vocabulary, already measured.

    Cost: encoding the sample once for each smaller size.
    """
    by_size: dict[int, Metrics] = {}
    smallest = len(SPECIAL_TOKENS) + len(learned.alphabet)
    *smaller, full = choose_sizes(smallest, smallest + len(learned.merges))
    for size in smaller:
        definition = tokenizer_json(
            learned.merges[: size - smallest],
            pattern=pattern,
            alphabet=learned.alphabet,
            pad_to_multiple=1,
        )
        by_size[size] = measure(read(Tokenizer.from_str(definition), sample))
    by_size[full] = full_measures
    return Curve(learned, counted_bytes(words, learned), by_size)


def choose_sizes(smallest: int, full: int) -> list[int]:
    """The full size and its halves, down to the one without merges where there are few."""
    sizes = [full]
    while len(sizes) < MAX_SIZES and sizes[-1] // 2 > smallest:
        sizes.append(sizes[-1] // 2)
    if len(sizes) < MIN_SIZES and full > smallest:
        sizes.append(smallest)
    return sizes[::-1]


def counted_bytes(words: CountedWords, learned: LearnedMerges) -> int:
    """Bytes of the text that the words were counted in.

    Over bytes, exactly. Over characters white space is not counted: the mark at the end of each
    word stands for one byte of it.
    """
    if learned.alphabet.is_bytes:
        return words.num_bytes
    mark = np.frombuffer(END_OF_WORD.encode(), dtype=np.uint8)
    text = words.text_N
    places = np.flatnonzero(
        (text[:-2] == mark[0]) & (text[1:-1] == mark[1]) & (text[2:] == mark[2])
    )
    holders = np.searchsorted(np.cumsum(words.lengths), places, side="right")
    return words.num_bytes - (len(mark) - 1) * int(words.counts[holders].sum())


def _grid(smallest: int, full: int, sizes: Sequence[int] | dict[int, Metrics]) -> list[int]:
    num_merges = np.geomspace(1, full - smallest + 1, NUM_GRID_SIZES).astype(int) - 1
    return sorted({*(smallest + num_merges).tolist(), *sizes})
