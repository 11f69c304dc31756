"""Byte pair encoding as expectation and maximization, on one page.

Initialization splits every word of a counted dictionary into its symbols: bytes, or characters of
which the last may mark the end of the word. Expectation finds the
frequency of each pair of adjacent symbols, weighted by the words' counts. Maximization merges the
`top_k` most frequent pairs. They alternate until there are enough merges or nothing repeats.

With ``top_k=1`` this is the algorithm of Sennrich et al. 2016 (1508.07909, section 3.2) under the
tie rule of Hugging Face's `BpeTrainer`: the lower pair of symbol ids goes first. With more, a
round keeps the frequencies it began with and never picks two pairs that could compete for one
occurrence of a symbol, so the order inside a round does not matter and encoding by rank finds the
training segmentation again. A merge's symbol id is the size of the alphabet plus its rank.

What batches cost (`python -m tests.benchmarks.vocab_top_k`, documentation in English mostly): at
32,768 tokens of 100 MB, 10, 100 and 1000 pairs a round carry 0.07, 0.08 and 0.41 % fewer bytes a
token than one pair, and share 96, 93 and 85 % of its tokens; at 8,192 tokens of 30 MB 0.19, 0.17
and 1.58 % fewer, and 94, 90 and 77 %.

How honest is the name? There is no latent variable with a posterior here, no likelihood that
rises, and no promise to converge: "expectation" is a count and "maximization" a greedy choice, so
this is compression by a dictionary. The vocabulary that is fitted by real EM is Unigram (Kudo
2018, 1804.10959). The two steps still are the right way to read, test and batch the algorithm.

`learner.learn` finds the same merges much faster; this module is what it is held to. Each round
recounts everything, so the cost is rounds times symbols.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from model.bpe.alphabet import BYTES, Alphabet

Pair = tuple[int, int]
Symbols = tuple[int, ...]


def learn(
    words: Mapping[bytes, int],
    *,
    num_merges: int,
    alphabet: Alphabet = BYTES,
    top_k: int = 1,
    min_frequency: int = 2,
) -> list[Pair]:
    """The merges, best first, each as the pair of symbol ids it joins; perhaps fewer than asked."""
    merges: list[Pair] = []
    segments = initialize(words, alphabet)
    while len(merges) < num_merges:
        frequencies = expect(segments, words)
        chosen = choose(frequencies, min(top_k, num_merges - len(merges)), top_k, min_frequency)
        if not chosen:
            break
        segments = maximize(segments, chosen, len(alphabet) + len(merges))
        merges += chosen
    return merges


def initialize(words: Iterable[bytes], alphabet: Alphabet) -> dict[bytes, Symbols]:
    """Each word as its first symbols."""
    return {word: alphabet.split(word) for word in words}


def expect(segments: Mapping[bytes, Symbols], words: Mapping[bytes, int]) -> Counter[Pair]:
    """How often each adjacent pair stands in the corpus."""
    frequencies: Counter[Pair] = Counter()
    for word, symbols in segments.items():
        for pair in pairwise(symbols):
            frequencies[pair] += words[word]
    return frequencies


def choose(
    frequencies: Mapping[Pair, int], num_wanted: int, top_k: int, min_frequency: int
) -> list[Pair]:
    """The most frequent pairs that do not compete, ties by ids.

    (a, b) competes when `a` already ends or `b` already begins a chosen pair. The round is over
    after ``2 * top_k + 8`` refusals; this bound is part of the result.
    """
    chosen: list[Pair] = []
    num_refused = 0
    for pair in sorted(frequencies, key=lambda pair: (-frequencies[pair], pair)):
        exhausted = num_refused == refusal_limit(top_k)
        if len(chosen) == num_wanted or exhausted or frequencies[pair] < min_frequency:
            break
        if any(pair[0] == right or pair[1] == left for left, right in chosen):
            num_refused += 1
        else:
            chosen.append(pair)
    return chosen


def refusal_limit(top_k: int) -> int:
    """After how many refused pairs a round ends."""
    return 2 * top_k + 8


def maximize(
    segments: Mapping[bytes, Symbols], chosen: Sequence[Pair], first_symbol: int
) -> dict[bytes, Symbols]:
    """Every word with the chosen pairs merged into new symbols, numbered from `first_symbol`."""
    symbol_of: dict[Symbols, int] = {pair: first_symbol + r for r, pair in enumerate(chosen)}
    return {word: merge_pairs(symbols, symbol_of) for word, symbols in segments.items()}


def merge_pairs(symbols: Symbols, symbol_of: Mapping[Symbols, int]) -> Symbols:
    """The symbols with each listed pair joined, from left to right."""
    merged: list[int] = []
    position = 0
    while position < len(symbols):
        new_symbol = symbol_of.get(symbols[position : position + 2])
        merged.append(symbols[position] if new_symbol is None else new_symbol)
        position += 1 if new_symbol is None else 2
    return tuple(merged)


def encode(word: bytes, merges: Sequence[Pair], alphabet: Alphabet = BYTES) -> Symbols:
    """A word cut by the merges: the lowest rank first, everywhere, until none applies."""
    symbol_of: dict[Symbols, int] = {pair: len(alphabet) + rank for rank, pair in enumerate(merges)}
    return encode_ranked(alphabet.split(word), symbol_of)


def encode_ranked(symbols: Symbols, symbol_of: Mapping[Symbols, int]) -> Symbols:
    """Symbols merged by a table of pairs and what they become, the lowest one first."""
    while known := [pair for pair in pairwise(symbols) if pair in symbol_of]:
        first = min(known, key=symbol_of.__getitem__)
        symbols = merge_pairs(symbols, {first: symbol_of[first]})
    return symbols
