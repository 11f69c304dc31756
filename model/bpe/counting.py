"""Counts the pretokens of documents.

Cost: about 50 ns a pretoken; memory is 64 to 128 bytes for each distinct one, and the bytes of
those longer than 15. The first call on a machine compiles the kernels (see `model.bpe.warm`).
"""

from collections.abc import Iterable

import numpy as np

from model.bpe import word_table
from model.bpe.scanner import NAMES, scanned_classes
from model.bpe.word_table import (
    BATCH_WORDS,
    MAX_INLINE_BYTES,
    PADDING_BYTES,
    SIZES,
    SLOT,
    Batch,
    Table,
    Text,
)
from model.bpe.words import Bytes, CountedWords, Int64s

FIRST_SLOTS = 2**14
FIRST_ARENA_BYTES = 2**16
PORTION_BYTES = 2**22  # of text that is copied and counted at once


class WordCounter:
    """How often each pretoken stands in the documents added so far.

    Counters share nothing, so each thread may have its own; their counts add up with `add_words`.

    Args:
        pattern: `gpt2` or `gpt4` (`tokenizer.PATTERNS`), or `eow`: what lies between white space
            and square brackets, for texts in which the ends of words are marked.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = NAMES.index(pattern)
        self._table = Table(
            slots=np.zeros(FIRST_SLOTS, dtype=SLOT),
            arena=np.empty(FIRST_ARENA_BYTES, dtype=np.uint8),
            sizes=np.zeros(1, dtype=SIZES),
        )
        starts, ends, counts, slots = np.empty((4, BATCH_WORDS), dtype=np.int64)
        low, high = np.empty((2, BATCH_WORDS), dtype=np.uint64)
        touched = np.empty(1, dtype=np.uint64)
        self._batch = Batch(starts, ends, low, high, counts, slots, touched)

    def add(self, text_N: Bytes, ends: Int64s) -> None:
        """Count documents that lie back to back in valid UTF-8; each ends where `ends` says."""
        portion = np.maximum(ends - 1, 0) // PORTION_BYTES
        bounds = np.flatnonzero(np.diff(portion, append=-1)) + 1
        first = begin = 0
        for bound in bounds.tolist():
            end = int(ends[bound - 1])
            self._add_portion(_padded(text_N[begin:end], ends[first:bound] - begin))
            first, begin = bound, end

    def add_texts(self, texts: Iterable[str]) -> None:
        """Count documents."""
        waiting: list[bytes] = []
        num_bytes = 0
        for text in texts:
            waiting.append(text.encode())
            num_bytes += len(waiting[-1])
            if num_bytes >= PORTION_BYTES:
                self._add_encoded(waiting)
                waiting, num_bytes = [], 0
        self._add_encoded(waiting)

    def add_words(self, words: CountedWords) -> None:
        """Add what was counted elsewhere."""
        text = _padded(words.text_N, np.cumsum(words.lengths))
        first = 0
        while True:
            first = word_table.count_words(text, first, words.counts, self._table, self._batch)
            if first == len(words):
                return
            self._enlarge(len(text.bytes_N))

    def words(self) -> CountedWords:
        """All words, the most frequent first, then in a fixed order that what was added first
        does not change."""
        slots = self._table.slots
        used = np.flatnonzero(slots["high"])
        hashes = np.empty(len(used), dtype=np.uint64)
        word_table.hash_slots(slots, used, hashes)
        order = used[np.lexsort((hashes, -slots["count"][used]))]
        high = slots["high"][order]
        lengths = (high >> np.uint64(56)).astype(np.int64)
        is_long = lengths > MAX_INLINE_BYTES
        lengths[is_long] = (high[is_long] & np.uint64(2**56 - 1)).astype(np.int64)
        text_N = np.empty(lengths.sum(), dtype=np.uint8)
        word_table.write_words(slots, order, self._table.arena, text_N)
        return CountedWords(text_N, lengths, slots["count"][order])

    def _add_portion(self, text: Text) -> None:
        at = document = 0
        while True:
            at, document = word_table.count_text(
                self._pattern, text, at, document, scanned_classes(), self._table, self._batch
            )
            if document == len(text.ends):
                return
            self._enlarge(len(text.bytes_N))

    def _add_encoded(self, texts: list[bytes]) -> None:
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        self.add(np.frombuffer(b"".join(texts), dtype=np.uint8), ends)

    def _enlarge(self, num_bytes: int) -> None:
        """Twice the room, for slots or longer words, whichever ran out."""
        slots, arena, sizes = self._table
        if 2 * (sizes["words"][0] + BATCH_WORDS) > len(slots):
            slots = np.zeros(2 * len(slots), dtype=SLOT)
            word_table.move_slots(self._table.slots, slots)
        else:
            arena = np.empty(max(2 * len(arena), int(sizes["arena"][0]) + num_bytes), np.uint8)
            arena[: sizes["arena"][0]] = self._table.arena[: sizes["arena"][0]]
        self._table = Table(slots, arena, sizes)


def count_words(texts: Iterable[str], pattern: str) -> CountedWords:
    """The distinct pretokens of the texts, the most frequent first."""
    counter = WordCounter(pattern)
    counter.add_texts(texts)
    return counter.words()


def add_up(parts: Iterable[CountedWords]) -> CountedWords:
    """The sums of several counts, the same in whatever order they come."""
    counter = WordCounter(NAMES[0])  # cuts nothing here
    for words in parts:
        counter.add_words(words)
    return counter.words()


def _padded(text_N: Bytes, ends: Int64s) -> Text:
    """A copy that whole numbers can be read from anywhere."""
    num_bytes = -(-(len(text_N) + PADDING_BYTES) // 8) * 8
    bytes_N = np.zeros(num_bytes, dtype=np.uint8)
    bytes_N[: len(text_N)] = text_N
    return Text(bytes_N, bytes_N.view(np.uint64), np.ascontiguousarray(ends, dtype=np.int64))
