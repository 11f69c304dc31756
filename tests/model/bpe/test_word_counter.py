"""What is counted is what the tokenizer's own pre-tokenizer cuts, however the text arrives."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit

from model.bpe import counting
from model.bpe.counting import WordCounter, count_words
from model.bpe.tokenizer import PATTERNS
from model.bpe.words import CountedWords

TRICKY = (
    *"a é字🙂 \t\n\r\u0085\u00a0\u3000\u2028'1²Ⅷ٣.,-[]\ue000\u0301\u200b\x00\x1c",
    *("'s", "'S", "'ſ", "'ll", "'LL", "'re", "'vE", "'d", "\r\n", "  ", "1234567", "[MASK]", "ſ"),
)
DIGITS_TO_LETTERS = str.maketrans("0123456789", "ghijklmnop")
texts = st.text() | st.lists(st.sampled_from(TRICKY), max_size=40).map("".join)


def cut(text: str, pattern: str) -> list[str]:
    """By the library's expressions."""
    split = (
        Sequence([WhitespaceSplit(), Split(Regex("[\\[\\]]\ue000?"), "isolated")])
        if pattern == "eow"
        else Split(Regex(PATTERNS[pattern]), "isolated")
    )
    return [piece for piece, _ in split.pre_tokenize_str(text)]


def expected(texts: Iterable[str], pattern: str) -> dict[bytes, int]:
    counts = Counter(word for text in texts for word in cut(text, pattern))
    return {word.encode(): count for word, count in counts.items() if word}


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4", "eow"])
@settings(max_examples=400, deadline=None)
@given(texts=st.lists(texts, max_size=4))
@example(texts=["".join(TRICKY), "".join(TRICKY[::-1]), "", " ", "'", "a ", "\n\n ", "a\u3000"])
def test_every_pretoken_is_counted(pattern: str, texts: list[str]) -> None:
    counted = count_words(texts, pattern)
    assert dict(counted) == expected(texts, pattern)
    assert counted.counts.tolist() == sorted(counted.counts.tolist(), reverse=True)


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
def test_every_character_is_cut_as_the_library_cuts_it(pattern: str) -> None:
    points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000]
    blocks = [points[start : start + 4096] for start in range(0, len(points), 4096)]
    texts = ["".join(f"a{chr(p)}b {chr(p)}{chr(p)}1" for p in block) for block in blocks[::8]]
    assert dict(count_words(texts, pattern)) == expected(texts, pattern)


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.lists(texts, max_size=3), min_size=1, max_size=3), data=st.data())
def test_counts_add_up_in_any_order(parts: list[list[str]], data: st.DataObject) -> None:
    whole = count_words([text for part in parts for text in part], "gpt4")
    total = WordCounter("gpt4")
    for part in data.draw(st.permutations(parts)):
        total.add_words(count_words(part, "gpt4"))
    merged = total.words()
    for name in ("text_N", "lengths", "counts"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


@pytest.mark.parametrize("length", [3, 15, 16, 40])
def test_tables_grow_without_losing_a_word(length: int) -> None:
    words = [f"{number:0{length}x}".translate(DIGITS_TO_LETTERS) for number in range(30_000)]
    counted = count_words([" ".join(words), " ".join(words[:7])], "eow")
    assert len(counted) == len(set(words))
    assert dict(counted) == expected([" ".join(words), " ".join(words[:7])], "eow")


def test_one_word_of_a_million_characters() -> None:
    word = "ACGT" * 250_000
    counted = count_words([word, f"{word} b"], "gpt4")
    assert dict(counted) == {word.encode(): 2, b" b": 1}


def test_texts_longer_than_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"the {number} th text is of some length" for number in range(50)]
    whole = dict(count_words(texts, "gpt2"))
    monkeypatch.setattr(counting, "PORTION_BYTES", 64)
    assert dict(count_words(texts, "gpt2")) == whole


def test_nothing_to_count() -> None:
    for texts in ([], [""], ["", ""]):
        assert len(count_words(texts, "gpt4")) == 0
    assert len(count_words([" \n\t "], "eow")) == 0


def test_words_come_most_frequent_first_and_the_first_can_be_kept() -> None:
    counted = count_words(["b a c a b a dd dd"], "eow")
    assert list(counted)[::3] == [(b"a", 3), (b"c", 1)]
    assert {*counted.first(3)} == {(b"a", 3), (b"b", 2), (b"dd", 2)}
    assert counted.num_bytes == 3 + 2 + 4 + 1
    assert list(CountedWords.from_pairs([(b"", 4), (b"x", 2)])) == [(b"x", 2)]
