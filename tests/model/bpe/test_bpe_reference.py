"""The reference is right where it can be checked by hand."""

import pytest

from model.bpe.alphabet import BYTE_CHARACTERS, BYTES, characters_of
from model.bpe.reference import choose, encode, expect, initialize, learn
from model.bpe.tokenizer import spell_symbols
from model.bpe.words import CountedWords
from model.errors import CorpusError

SENNRICH = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}


def spelled(words: dict[bytes, int], num_merges: int, **settings: int) -> list[tuple[str, str]]:
    merges = learn(words, num_merges=num_merges, **settings)
    spelling = spell_symbols(merges)
    return [(spelling[left].decode(), spelling[right].decode()) for left, right in merges]


def test_the_published_example() -> None:
    # Sennrich et al. 2016, figure 1 without its end-of-word mark; ties by the lower ids
    assert spelled(SENNRICH, 4) == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]


def test_expectation_weighs_words_by_their_counts() -> None:
    frequencies = expect(initialize(SENNRICH, BYTES), SENNRICH)
    e, s, w = BYTES.split(b"esw")
    assert frequencies[e, s] == 6 + 3
    assert frequencies[w, e] == 2 + 6


def test_runs_are_merged_from_the_left() -> None:
    [a] = BYTES.split(b"a")
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


def test_the_classic_formulation_with_the_end_of_words() -> None:
    words = {f"{word.decode()}\ue000".encode(): count for word, count in SENNRICH.items()}
    alphabet = characters_of(CountedWords.from_pairs(words.items()), max_characters=99)
    merges = learn(words, num_merges=6, alphabet=alphabet)
    spelling = [name.decode() for name in spell_symbols(merges, alphabet)]
    # as in Sennrich et al. 2016, section 3.2, but for ties: (t, mark) goes before (es, t)
    assert spelling[len(alphabet) :] == ["es", "t\ue000", "est\ue000", "lo", "low", "ew"]


def test_bytes_and_symbols_are_one_to_one_in_the_order_of_their_characters() -> None:
    assert sorted(BYTES.spelling) == [bytes([byte]) for byte in range(256)]
    characters = [BYTES.name(spelling) for spelling in BYTES.spelling]
    assert characters == sorted(characters)
    every_byte = CountedWords.from_pairs([(bytes(range(256)), 1)])
    symbols, lengths = BYTES.split_all(every_byte)
    assert tuple(symbols) == BYTES.split(bytes(range(256)))
    assert lengths.tolist() == [256]
    assert all(character.isprintable() for character in BYTE_CHARACTERS)
    assert BYTES.name(b" a\n") == "ĠaĊ"


def test_an_alphabet_larger_than_the_vocabulary_is_refused() -> None:
    words = CountedWords.from_pairs([("abcé".encode(), 1), ("d字".encode(), 1)])
    assert len(characters_of(words, max_characters=6)) == 6
    with pytest.raises(CorpusError, match=r"6 characters, more than the 5 .* vocab\.vocab_size"):
        characters_of(words, max_characters=5)
