"""The fast learner finds what the reference finds, and what it learned is what encoding applies."""

from collections.abc import Mapping
from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bpe import learner, reference
from model.bpe.alphabet import BYTES, characters_of
from model.bpe.tokenizer import spell_symbols
from model.bpe.words import CountedWords

MOST = 2**60


def counted(words: Mapping[bytes, int]) -> CountedWords:
    return CountedWords.from_pairs(words.items())


def corpora(max_count: int = 9) -> st.SearchStrategy[dict[bytes, int]]:
    """Counted words over small alphabets, where pairs collide, run and tie all the time."""
    alphabets = st.sampled_from([b"a", b"ab", b"abc", b"ab \n", bytes(range(0, 256, 37))])
    return alphabets.flatmap(
        lambda alphabet: st.dictionaries(
            st.lists(st.sampled_from(list(alphabet)), min_size=1, max_size=24).map(bytes),
            st.integers(1, max_count),
            max_size=25,
        )
    )


@settings(max_examples=500, deadline=None)
@given(words=corpora(), num_merges=st.integers(0, 60), min_frequency=st.integers(1, 5))
def test_merges_equal_the_reference(
    words: dict[bytes, int], num_merges: int, min_frequency: int
) -> None:
    for top_k in (1, 2, 3, 10, 100):  # of the same words: to make them up takes longer
        limits = {"num_merges": num_merges, "top_k": top_k, "min_frequency": min_frequency}
        expected = reference.learn(words, **limits)
        learned = learner.learn(counted(words), **limits)
        assert learned.merges == expected, top_k
        assert -(-len(expected) // top_k) <= learned.num_rounds <= len(expected), top_k


@pytest.mark.parametrize("top_k", [1, 3, 10])
@settings(max_examples=40, deadline=None)
@given(words=corpora())
def test_encoding_by_rank_gives_the_training_segmentation(
    top_k: int, words: dict[bytes, int]
) -> None:
    learned = learner.learn(counted(words), num_merges=40, top_k=top_k)
    encoded = {word: reference.encode(word, learned.merges) for word in words}
    assert learned.segmentation.tolist() == list(chain.from_iterable(encoded.values()))
    assert learned.num_tokens == sum(len(encoded[word]) * words[word] for word in words)


@pytest.mark.parametrize("top_k", [1, 3])
@settings(max_examples=60, deadline=None)
@given(words=st.dictionaries(st.text("aé字\ue000", min_size=1), st.integers(1, 9), max_size=20))
def test_characters_merge_as_in_the_reference(top_k: int, words: dict[str, int]) -> None:
    encoded = {word.encode(): count for word, count in words.items()}
    alphabet = characters_of(counted(encoded), max_characters=4)
    limits = {"num_merges": 40, "top_k": top_k}
    learned = learner.learn(counted(encoded), alphabet=alphabet, **limits)
    assert learned.merges == reference.learn(encoded, alphabet=alphabet, **limits)
    spelling = spell_symbols(learned.merges, alphabet)
    assert b"".join(spelling[s] for s in learned.segmentation) == b"".join(encoded)
    cut = [reference.encode(word, learned.merges, alphabet) for word in encoded]
    assert learned.segmentation.tolist() == list(chain.from_iterable(cut))


@pytest.mark.parametrize("top_k", [1, 3])
@settings(max_examples=40, deadline=None)
@given(words=corpora())
def test_the_curve_is_what_shorter_runs_give(top_k: int, words: dict[bytes, int]) -> None:
    learned = learner.learn(counted(words), num_merges=12, top_k=top_k)
    assert len(learned.num_tokens_after) == len(learned.merges) + 1
    for num_merges, num_tokens in enumerate(learned.num_tokens_after):
        cut = [reference.encode(word, learned.merges[:num_merges]) for word in words]
        assert num_tokens == sum(
            len(symbols) * count for symbols, count in zip(cut, words.values(), strict=True)
        )


@settings(max_examples=40, deadline=None)
@given(words=corpora())
def test_frequencies_are_those_of_the_expectation(words: dict[bytes, int]) -> None:
    learned = learner.learn(counted(words), num_merges=12)
    for rank, frequency in enumerate(learned.frequencies):
        segments = {word: reference.encode(word, learned.merges[:rank]) for word in words}
        assert reference.expect(segments, words)[learned.merges[rank]] == frequency


@settings(max_examples=40, deadline=None)
@given(words=corpora(), top_k=st.sampled_from([1, 2, 10]))
def test_no_two_merges_spell_the_same_token(words: dict[bytes, int], top_k: int) -> None:
    merges = learner.learn(counted(words), num_merges=200, top_k=top_k, min_frequency=1).merges
    spelling = spell_symbols(merges)
    assert len(set(spelling)) == len(spelling)


@settings(max_examples=40, deadline=None)
@given(words=corpora(), data=st.data())
def test_the_order_of_words_does_not_matter(words: dict[bytes, int], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(words.items()))))
    one = learner.learn(counted(words), num_merges=30)
    other = learner.learn(counted(shuffled), num_merges=30)
    assert one.merges == other.merges
    assert one.num_tokens == other.num_tokens


def test_counts_past_32_and_53_bits_are_exact() -> None:
    words = {b"ab": MOST, b"bc": MOST + 1, b"cd": 2**40}
    assert learner.learn(counted(words), num_merges=3).merges == reference.learn(
        words, num_merges=3
    )
    assert learner.learn(counted(words), num_merges=1).merges == [BYTES.split(b"bc")]


def test_a_long_run_and_a_long_word() -> None:
    run = b"a" * 20_000
    learned = learner.learn(counted({run: 1}), num_merges=50)
    assert learned.merges == reference.learn({run: 1}, num_merges=50)
    word = bytes(Random(0).choices(b"ACGT", k=60_000))
    learned = learner.learn(counted({word: 1}), num_merges=300)
    assert len(learned.merges) == 300
    assert b"".join(spell_symbols(learned.merges)[s] for s in learned.segmentation) == word


def test_the_pair_table_grows_without_changing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    enlarged = learner._enlarged
    monkeypatch.setattr(
        learner, "_enlarged", lambda array, n: lengths.append(n) or enlarged(array, n)
    )
    rng = Random(1)
    words = {bytes(rng.choices(range(8), k=6)): 1 for _ in range(2500)}
    learned = learner.learn(counted(words), num_merges=80, min_frequency=1)
    assert len(set(lengths)) > 2, "the table was never too small"
    assert learned.merges == reference.learn(words, num_merges=80, min_frequency=1)


def test_progress_reaches_its_end() -> None:
    heard: list[tuple[int, int]] = []
    words = {bytes([b, c]): 2 for b in range(40) for c in range(40)}
    learner.learn(
        counted(words), num_merges=1200, on_progress=lambda done, total: heard.append((done, total))
    )
    assert heard[-1] == (1200, 1200)
    assert heard == sorted(heard)
    assert len(heard) > 2


def test_nothing_to_learn() -> None:
    for words in ({}, {b"": 5}, {b"a": 5}, {b"ab": 1}):
        learned = learner.learn(counted(words), num_merges=10)
        assert learned.merges == []
        assert learned.num_tokens_after.tolist() == [
            sum(map(len, words)) * 5 if words != {b"ab": 1} else 2
        ]
    assert learner.learn(counted({b"abab": 9}), num_merges=0).merges == []
