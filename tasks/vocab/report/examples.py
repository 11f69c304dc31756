"""What was merged first, and how frequent words are cut after 10, 100, 1000 and all merges."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from model.bpe.learner import LearnedMerges
from model.bpe.reference import Symbols, encode_ranked
from model.bpe.tokenizer import END_OF_WORD, spell_merges, spell_symbols
from model.bpe.words import CountedWords

NUM_EXAMPLES = 10
MIN_EXAMPLE_LETTERS = 6
MAX_EXAMPLE_BYTES = 60  # cutting by rank is quadratic in a word's length
NUM_FIRST_MERGES = 50
NUM_WORDS_SEARCHED = 20_000
STEPS = (10, 100, 1000)
SHOWN_END_OF_WORD = "[EoW]"


@dataclass(frozen=True, eq=False)
class MergeTables:
    """Learned merges as tables, built once, to cut many words by."""

    learned: LearnedMerges

    @cached_property
    def spelling(self) -> list[bytes]:
        """The bytes of every symbol."""
        return spell_symbols(self.learned.merges, self.learned.alphabet)

    @cached_property
    def stages(self) -> dict[str, dict[Symbols, int]]:
        """What each pair becomes, of the first 10, 100, 1000 and all merges."""
        num_merges = len(self.learned.merges)
        return {
            **{str(step): self.table(step) for step in STEPS if step < num_merges},
            "all": self.table(num_merges),
        }

    def table(self, num_merges: int) -> dict[Symbols, int]:
        """What each pair of the first merges becomes."""
        first = len(self.learned.alphabet)
        return {pair: first + r for r, pair in enumerate(self.learned.merges[:num_merges])}

    def cut(self, word: bytes, symbol_of: Mapping[Symbols, int]) -> Symbols:
        """The symbols of a word, merged by a table."""
        return encode_ranked(self.learned.alphabet.split(word), symbol_of)

    def show_cuts(self, word: bytes) -> dict[str, list[str]]:
        """A word's tokens after the first 10, 100, 1000 and all merges."""
        return {
            name: [shown(self.spelling[symbol]) for symbol in self.cut(word, symbol_of)]
            for name, symbol_of in self.stages.items()
        }


def show_first_merges(learned: LearnedMerges) -> list[str]:
    """The first merges as they stand in `merges.txt`."""
    pairs = spell_merges(learned.merges[:NUM_FIRST_MERGES], learned.alphabet)
    return [" ".join(pair).replace(END_OF_WORD, SHOWN_END_OF_WORD) for pair in pairs]


def show_examples(words: CountedWords, tables: MergeTables) -> list[dict[str, Any]]:
    """The most frequent longer words and their cuts; shorter ones where there are not enough."""
    frequent = [
        (word, count, _num_letters(word))
        for word, count in words.first(NUM_WORDS_SEARCHED)
        if len(word) <= MAX_EXAMPLE_BYTES
    ]
    is_short = {word: num_letters < MIN_EXAMPLE_LETTERS for word, _, num_letters in frequent}
    written = [item for item in frequent if item[2] > 1]
    chosen = sorted(written, key=lambda item: (is_short[item[0]], -item[1], item[0]))
    return [
        {"pretoken": shown(word), "count": count, "cuts": tables.show_cuts(word)}
        for word, count, _ in chosen[:NUM_EXAMPLES]
    ]


def shown(spelling: bytes) -> str:
    """Bytes as text for people: the mark at a word's end by its name, half characters as �."""
    return spelling.decode(errors="replace").replace(END_OF_WORD, SHOWN_END_OF_WORD)


def _num_letters(word: bytes) -> int:
    """Letters and their marks; 0 for a pretoken that has anything else but a blank in front."""
    text = word.decode().removesuffix(END_OF_WORD).strip()
    return len(text) if all(unicodedata.category(c)[0] in "LM" for c in text) else 0
