"""What goes wrong in a naive implementation of byte pair encoding, measured on this corpus.

Where an experiment would have to look at all words, it looks at the most frequent ones up to a
bound, which each figure names; counts of merges, ties and tokens are those of the whole run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model.bpe.learner import LearnedMerges
from model.bpe.reference import Pair, choose
from model.bpe.tokenizer import spell_merges
from model.bpe.words import CountedWords, Int64s
from tasks.vocab.report.examples import MergeTables, shown

MAX_SYMBOL_BYTES = 2**22
NUM_REPLAYED_WORDS = 5000
NUM_REPLAYED_MERGES = 1000
MAX_REPLAYED_BYTES = 100  # cutting by rank is quadratic in a word's length
NUM_FIRST_PAIRS = 100
LONG_WORD_BYTES = 1000
MAX_INT32 = 2**31
NUM_SHOWN = 10
Figures = dict[str, float]


@dataclass(frozen=True)
class Pitfall:
    """One thing that goes wrong, with its figures; `wording` makes the sentence.

    Attributes:
        name: what it is.
        figures: what was measured, by name.
        examples: texts to show, each a row.
    """

    name: str
    figures: Figures
    examples: list[list[str]] = field(default_factory=list)


def find_pitfalls(words: CountedWords, tables: MergeTables) -> list[Pitfall]:
    """What the counts and the merges show, in the order of a learner's steps."""
    learned = tables.learned
    return [
        long_words(words),
        recounting(words, learned),
        overlaps(words, learned),
        competing_pairs(words, learned),
        string_replacement(words, tables),
        ties(learned),
        overflow(words, learned),
        intermediate_tokens(tables),
    ]


def long_words(words: CountedWords) -> Pitfall:
    """The longest pretoken, and how much is in very long ones."""
    is_long = words.lengths > LONG_WORD_BYTES
    return Pitfall(
        "long_words",
        {
            "longest_bytes": int(words.lengths.max(initial=0)),
            "num_long": int(is_long.sum()),
            "long_frac": _share(words.counts[is_long].sum(), words.counts.sum()),
        },
    )


def recounting(words: CountedWords, learned: LearnedMerges) -> Pitfall:
    """Symbols visited when every round counts all pairs anew, and by one pass.

    Over running text a round visits all its tokens, whose number is known after each merge; with
    several merges a round, their mean times the rounds. Over distinct words the number of symbols
    is known at the start and at the end, which bound it.
    """
    _, lengths = learned.alphabet.split_all(words)
    num_rounds = learned.num_rounds
    before_each = learned.num_tokens_after[:-1]
    mean = float(before_each.mean()) if len(before_each) else 0.0
    return Pitfall(
        "recounting",
        {
            "num_rounds": num_rounds,
            "text_visits": mean * num_rounds,
            "text_tokens": int(learned.num_tokens_after[0]),
            "least_word_visits": num_rounds * len(learned.segmentation),
            "most_word_visits": num_rounds * int(lengths.sum()),
            "word_symbols": int(lengths.sum()),
        },
    )


def overlaps(words: CountedWords, learned: LearnedMerges) -> Pitfall:
    """How often (a, a) is counted in runs such as `aaa`, beside how often it can be merged."""
    symbols, lengths, weights = _symbols(words, learned)
    starts = np.flatnonzero(_differs(symbols, lengths))
    run_lengths = np.diff(starts, append=len(symbols))
    repeated = run_lengths > 1
    starts, run_lengths = starts[repeated], run_lengths[repeated]
    run_weights, run_symbols = weights[starts], symbols[starts]
    num_symbols = len(learned.alphabet)
    counted = _totals(run_symbols, run_weights * (run_lengths - 1), num_symbols)
    possible = _totals(run_symbols, run_weights * (run_lengths // 2), num_symbols)
    order = np.lexsort((np.arange(num_symbols), possible - counted))[:NUM_SHOWN]
    return Pitfall(
        "overlaps",
        {
            "num_counted": int(counted.sum()),
            "num_possible": int(possible.sum()),
            "num_word_bytes": min(len(words.text_N), MAX_SYMBOL_BYTES),
        },
        [
            [shown(learned.alphabet.spelling[i] * 2), f"{counted[i]:,}", f"{possible[i]:,}"]
            for i in order.tolist()
            if counted[i] > possible[i]
        ],
    )


def competing_pairs(words: CountedWords, learned: LearnedMerges) -> Pitfall:
    """How many of the most frequent first pairs a round may not merge together.

    The pairs are those of `reference.expect`; those that `reference.choose` refuses compete.
    """
    pairs = _first_pairs(words, learned)
    chosen = set(choose(pairs, len(pairs), len(pairs), 1)) if pairs else set()
    refused = [pair for pair in pairs if pair not in chosen]
    spelling = learned.alphabet.spelling
    return Pitfall(
        "competing_pairs",
        {"num_pairs": len(pairs), "num_competing": len(refused)},
        [[shown(spelling[a]), shown(spelling[b])] for a, b in refused[:NUM_SHOWN]],
    )


def string_replacement(words: CountedWords, tables: MergeTables) -> Pitfall:
    """The same merges applied by replacing text, which also matches the ends of longer symbols.

    Words are written as symbols with blanks between; `a b` becomes `ab`. Where a longer symbol
    ends in `a`, or begins with `b`, that joins what was no such pair.
    """
    learned = tables.learned
    known = [w for w in words.first(NUM_REPLAYED_WORDS) if len(w[0]) <= MAX_REPLAYED_BYTES]
    merges = spell_merges(learned.merges[:NUM_REPLAYED_MERGES], learned.alphabet)
    naive = replace_text([_written(tables, learned.alphabet.split(w)) for w, _ in known], merges)
    table = tables.table(NUM_REPLAYED_MERGES)
    right = [_written(tables, tables.cut(word, table)) for word, _ in known]
    differs = [number for number in range(len(known)) if naive[number] != right[number]]
    total = sum(count for _, count in known)
    return Pitfall(
        "string_replacement",
        {
            "num_words": len(known),
            "num_merges": len(merges),
            "num_different": len(differs),
            "different_frac": _share(sum(known[number][1] for number in differs), total),
        },
        [[shown(known[n][0]), right[n], naive[n]] for n in differs[:NUM_SHOWN]],
    )


def replace_text(words: Sequence[str], merges: Sequence[tuple[str, str]]) -> list[str]:
    """Merge symbols by replacing text in words written with blanks between symbols."""
    text = "\n".join(words)
    for left, right in merges:
        text = text.replace(f"{left} {right}", left + right)
    return text.split("\n")


def ties(learned: LearnedMerges) -> Pitfall:
    """Merges as frequent as the next one: their order is the implementation's choice."""
    frequencies = learned.frequencies
    num_tied = int((frequencies[:-1] == frequencies[1:]).sum())
    return Pitfall("ties", {"num_tied": num_tied, "num_merges": len(frequencies)})


def overflow(words: CountedWords, learned: LearnedMerges) -> Pitfall:
    """The largest frequency, and the size of a like corpus at which 32 bits cannot hold it."""
    largest = int(learned.frequencies.max(initial=0))
    figures: Figures = {"largest_frequency": largest}
    if largest:
        figures["wraps_at_gb"] = words.num_bytes * MAX_INT32 / largest / 1e9
    return Pitfall("overflow", figures)


def intermediate_tokens(tables: MergeTables) -> Pitfall:
    """Merged tokens that no training word is made of in the end."""
    learned = tables.learned
    first = len(learned.alphabet)
    used = np.bincount(learned.segmentation, minlength=first + len(learned.merges))
    unused = np.flatnonzero(used[first:] == 0)
    return Pitfall(
        "intermediate_tokens",
        {"num_unused": len(unused), "num_merges": len(learned.merges)},
        [[shown(tables.spelling[first + r]), f"{r + 1:,}"] for r in unused[:NUM_SHOWN].tolist()],
    )


def _symbols(words: CountedWords, learned: LearnedMerges) -> tuple[Int64s, Int64s, Int64s]:
    """First symbols of the most frequent words, symbols a word, and each symbol's weight."""
    num_words = int(np.searchsorted(np.cumsum(words.lengths), MAX_SYMBOL_BYTES, side="right"))
    leading = words.first(num_words)
    symbols, lengths = learned.alphabet.split_all(leading)
    return symbols.astype(np.int64), lengths, np.repeat(leading.counts, lengths)


def _differs(symbols: Int64s, lengths: Int64s) -> np.ndarray:
    """Which symbols are not the same as the one before in the same word."""
    differs = np.ones(len(symbols), dtype=np.bool_)
    differs[1:] = symbols[1:] != symbols[:-1]
    differs[np.cumsum(lengths)[:-1]] = True
    return differs


def _first_pairs(words: CountedWords, learned: LearnedMerges) -> dict[Pair, int]:
    """The most frequent pairs of first symbols, with their frequencies."""
    symbols, lengths, weights = _symbols(words, learned)
    is_inside = np.ones(max(0, len(symbols) - 1), dtype=np.bool_)
    is_inside[np.cumsum(lengths)[:-1] - 1] = False
    keys = (symbols[:-1] * len(learned.alphabet) + symbols[1:])[is_inside]
    pairs, index = np.unique(keys, return_inverse=True)
    frequencies = _totals(index, weights[:-1][is_inside], len(pairs))
    order = np.lexsort((pairs, -frequencies))[:NUM_FIRST_PAIRS].tolist()
    return {divmod(int(pairs[i]), len(learned.alphabet)): int(frequencies[i]) for i in order}


def _totals(keys: Int64s, weights: Int64s, length: int) -> Int64s:
    """Sums of whole weights by key, int64."""
    totals = np.zeros(length, dtype=np.int64)
    np.add.at(totals, keys, weights)
    return totals


def _written(tables: MergeTables, symbols: Sequence[int]) -> str:
    name = tables.learned.alphabet.name
    return " ".join(name(tables.spelling[symbol]) for symbol in symbols)


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
