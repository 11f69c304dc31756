"""Makes corpora of any size: JSON lines of made-up text in which some documents repeat others."""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NUM_WORDS = 50_000
MEDIAN_TEXT_BYTES = 2000
LOG_SIGMA = 1.0
MIN_TEXT_BYTES, MAX_TEXT_BYTES = 100, 200_000
CHANGED_FRAC = 0.01
GENRES = "archive court forum journal letters manual news novel parish review school wire".split()

_BLOCK_DOCUMENTS = 500
_POOL_DOCUMENTS = 4096
_DRAWS = 2**20
_ONSETS = "b bl br c ch d dr f fl g gr h j k l m n p pr qu r s sh st t th tr v w z".split()
_VOWELS = "a e i o u ai ea ou ie a e i o u é ü ø".split()
_CODAS = " n r s t l m nd st ck rt ng   ".split(" ")
# How a word stands in its text, with what follows it. Newlines as JSON spells them.
_FORMS = ("{} ", "{} ", "{}, ", "{}. ", "{}? ", "{}.\\n\\n", "{}.")
_PLAIN, _CAPITAL, _COMMA, _STOP, _QUESTION, _PARAGRAPH, _LAST = range(len(_FORMS))

Tokens = NDArray[np.int32]  # of one document: word + NUM_WORDS * form


@dataclass(frozen=True)
class Generated:
    """What was written.

    Attributes:
        num_documents: all of them, repetitions included.
        num_duplicates: those whose text an earlier document has.
        num_near_duplicates: those that differ from an earlier document in a few words.
        num_bytes: of the file.
    """

    num_documents: int
    num_duplicates: int
    num_near_duplicates: int
    num_bytes: int


def write_generated(
    path: Path,
    megabytes: float,
    seed: int,
    near_duplicate_frac: float = 0.05,
    duplicate_frac: float = 0.02,
) -> Generated:
    """Write documents until the file has `megabytes` (of 10^6 bytes), and finish the last one.

    Each line is an object with `id`, `genre`, `year` and `text`. Texts have a lognormal length
    with a median of 2 kB, in words of a vocabulary whose frequencies follow Zipf's law. What is
    repeated may lie anywhere before. The same arguments give the same bytes. Takes 100 MB of
    memory, whatever the size.

    Args:
        near_duplicate_frac: of the documents, those that are an earlier one with one word in a
            hundred changed, but at least one word.
        duplicate_frac: of the documents, those that have the very text of an earlier one.
    """
    kinds: Counter[str] = Counter()
    num_bytes = 0
    documents = _Documents(np.random.default_rng(seed), near_duplicate_frac, duplicate_frac)
    with path.open("wb") as file:
        for kind, line in documents:
            if num_bytes >= megabytes * 1e6:
                break
            num_bytes += file.write(line.encode("utf-8"))
            kinds[kind] += 1
    return Generated(kinds.total(), kinds["duplicate"], kinds["near_duplicate"], num_bytes)


class _Documents:
    """An endless row of documents: (kind, line)."""

    def __init__(
        self, rng: np.random.Generator, near_duplicate_frac: float, duplicate_frac: float
    ) -> None:
        self._rng = rng
        self._fracs = (duplicate_frac, duplicate_frac + near_duplicate_frac)
        words = _make_words(rng)
        self._word_draws = _zipf_draws()
        self._mean_word_bytes = 1 + np.mean(
            [len(words[w].encode()) for w in self._word_draws[::16]]
        )
        self._written = _written_forms(words)
        self._pool: list[Tokens] = []  # originals, each earlier one as likely as any other
        self._num_originals = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        numbers = itertools.count()
        while True:
            block = self._draw_block()
            kinds = self._rng.random(len(block))
            genres = self._rng.integers(0, len(GENRES), len(block))
            years = self._rng.integers(1950, 2025, len(block))
            for drawn, tokens, genre, year in zip(kinds, block, genres, years, strict=True):
                kind, tokens = self._repeat(drawn, tokens)
                text = "".join(self._written[tokens].tolist())
                yield (
                    kind,
                    f'{{"id": "generated-{next(numbers):09d}", "genre": "{GENRES[genre]}", '
                    f'"year": {year}, "text": "{text}"}}\n',
                )

    def _draw_block(self) -> list[Tokens]:
        text_bytes = MEDIAN_TEXT_BYTES * np.exp(
            LOG_SIGMA * self._rng.standard_normal(_BLOCK_DOCUMENTS)
        )
        text_bytes = text_bytes.clip(MIN_TEXT_BYTES, MAX_TEXT_BYTES)
        ends = (text_bytes / self._mean_word_bytes).astype(np.int64).cumsum()
        words = self._word_draws[self._rng.integers(0, _DRAWS, ends[-1])]
        tokens = words + NUM_WORDS * self._draw_forms(ends)
        return np.split(tokens, ends[:-1])

    def _draw_forms(self, document_ends: NDArray[np.int64]) -> NDArray[np.int32]:
        """The form of every word in a block, so that sentences and paragraphs come about."""
        num_words = int(document_ends[-1])
        chances = self._rng.random(num_words)
        lasts = np.zeros(num_words, dtype=bool)
        lasts[document_ends - 1] = True
        stops = lasts.copy()
        sentence_ends = self._rng.integers(4, 28, num_words // 4 + 1).cumsum()
        stops[sentence_ends[sentence_ends < num_words]] = True
        starts = np.roll(stops, 1)
        return np.select(
            [
                lasts,
                stops & (chances < 0.2),
                stops & (chances < 0.3),
                stops,
                starts,
                chances < 0.06,
            ],
            [_LAST, _PARAGRAPH, _QUESTION, _STOP, _CAPITAL, _COMMA],
            _PLAIN,
        ).astype(np.int32)

    def _repeat(self, drawn: float, tokens: Tokens) -> tuple[str, Tokens]:
        """The document itself, or in its place one that repeats an earlier one."""
        duplicates, repeated = self._fracs
        if drawn >= repeated or not self._pool:
            self._remember(tokens)
            return "original", tokens
        earlier = self._pool[self._rng.integers(0, len(self._pool))]
        if drawn < duplicates:
            return "duplicate", earlier
        return "near_duplicate", self._change(earlier)

    def _change(self, tokens: Tokens) -> Tokens:
        changed = tokens.copy()
        num_changed = max(1, round(CHANGED_FRAC * len(tokens)))
        places = self._rng.integers(0, len(tokens), num_changed)
        forms = tokens[places] // NUM_WORDS * NUM_WORDS
        changed[places] = forms + self._rng.integers(0, NUM_WORDS, num_changed)
        return changed

    def _remember(self, tokens: Tokens) -> None:
        self._num_originals += 1
        slot = self._num_originals - 1
        if slot >= _POOL_DOCUMENTS:
            slot = int(self._rng.integers(0, self._num_originals))
        if slot < len(self._pool):
            self._pool[slot] = tokens.copy()
        elif slot < _POOL_DOCUMENTS:
            self._pool.append(tokens.copy())


def _make_words(rng: np.random.Generator) -> list[str]:
    """Different words of one to four syllables, short ones first but not strictly."""
    made: dict[str, None] = {}
    while len(made) < NUM_WORDS:
        parts = [
            [part[i] for i in rng.integers(0, len(part), NUM_WORDS)]
            for part in [_ONSETS, _VOWELS, _CODAS] * 4
        ]
        counts = rng.choice([1, 2, 3, 4], NUM_WORDS, p=[0.1, 0.4, 0.35, 0.15])
        for count, *syllables in zip(counts, *parts, strict=True):
            made["".join(syllables[: 3 * count])] = None
    words = list(made)[:NUM_WORDS]
    places = np.array([len(word) for word in words]) + rng.random(NUM_WORDS) * 3
    return [words[i] for i in places.argsort(kind="stable")]


def _zipf_draws() -> NDArray[np.int32]:
    """A table in which each word stands as often as it is likely: a draw is one look-up."""
    cumulated = (1 / (np.arange(NUM_WORDS) + 2.7)).cumsum()
    points = (np.arange(_DRAWS) + 0.5) / _DRAWS * cumulated[-1]
    draws: NDArray[np.int32] = cumulated.searchsorted(points).astype(np.int32)
    return draws


def _written_forms(words: list[str]) -> NDArray[np.object_]:
    written = np.empty(len(_FORMS) * NUM_WORDS, dtype=object)
    written[:] = [
        form.format(word.capitalize() if number == _CAPITAL else word)
        for number, form in enumerate(_FORMS)
        for word in words
    ]
    return written


def main() -> None:
    """Write one corpus, and say in JSON what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--megabytes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generated = write_generated(arguments.path, arguments.megabytes, arguments.seed)
    sys.stdout.write(json.dumps(asdict(generated)) + "\n")


if __name__ == "__main__":
    main()
