"""The reference is right where it can be checked by hand."""

from model.bpe.alphabet import (
    BYTE_CHARACTERS,
    BYTE_OF_SYMBOL,
    SYMBOL_OF_BYTE,
    printable,
    symbols_of,
)
from model.bpe.reference import choose, encode, expect, initialize, learn
from model.bpe.tokenizer import spell_symbols

SENNRICH = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}


def spelled(words: dict[bytes, int], num_merges: int, **settings: int) -> list[tuple[str, str]]:
    merges = learn(words, num_merges=num_merges, **settings)
    spelling = spell_symbols(merges)
    return [(spelling[left].decode(), spelling[right].decode()) for left, right in merges]


def test_the_published_example() -> None:
    # Sennrich et al. 2016, figure 1 without its end-of-word mark; ties by the lower ids
    assert spelled(SENNRICH, 4) == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]


def test_expectation_weighs_words_by_their_counts() -> None:
    frequencies = expect(initialize(SENNRICH), SENNRICH)
    e, s, w = (SYMBOL_OF_BYTE[byte] for byte in b"esw")
    assert frequencies[e, s] == 6 + 3
    assert frequencies[w, e] == 2 + 6


def test_runs_are_merged_from_the_left() -> None:
    a = SYMBOL_OF_BYTE[ord("a")]
    [pair] = learn({b"aaaaa": 1}, num_merges=1)
    assert pair == (a, a)
    assert encode(b"aaaaa", [pair]) == (256, 256, a)


def test_a_round_never_picks_pairs_that_compete() -> None:
    frequencies = {(1, 2): 9, (2, 3): 8, (0, 1): 7, (5, 6): 6, (2, 1): 5, (1, 4): 4}
    assert choose(frequencies, 10, 10, 1) == [(1, 2), (5, 6), (1, 4)]


def test_a_round_ends_after_so_many_refusals() -> None:
    refused = {(1, 100 + i): 50 for i in range(10)}
    frequencies = {(0, 1): 99, **refused, (7, 8): 1}
    assert choose(frequencies, 2, 1, 1) == [(0, 1)]  # 2 * 1 + 8 refusals
    assert choose(frequencies, 2, 2, 1) == [(0, 1), (7, 8)]


def test_rare_pairs_are_left_alone() -> None:
    assert spelled({b"ab": 3, b"cd": 2}, 9, min_frequency=3) == [("a", "b")]
    assert spelled({b"ab": 3, b"cd": 2}, 9, min_frequency=4) == []


def test_symbols_and_bytes_are_one_to_one_in_the_order_of_their_characters() -> None:
    assert sorted(BYTE_OF_SYMBOL) == list(range(256))
    characters = [BYTE_CHARACTERS[byte] for byte in BYTE_OF_SYMBOL]
    assert characters == sorted(characters)
    assert symbols_of(bytes(range(256))).tolist() == list(SYMBOL_OF_BYTE)
    assert all(character.isprintable() for character in characters)
    assert printable(b" a\n") == "ĠaĊ"
