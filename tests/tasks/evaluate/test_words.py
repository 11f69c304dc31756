"""Words and terms in scripts with and without spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluate import words
from tasks.evaluate.halves import cut_in_halves
from tasks.evaluate.words import terms_of, word_ends, words_of

scripts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("aİΣ_1 .\u0301\u200dक्षि漢字〇カナーﾞกำน้ำເ\u17d2ကျ"),
    ),
    max_size=60,
)


def test_words_of_scripts_with_spaces_are_runs_in_lower_case() -> None:
    assert words_of("Über-Straße 42, snake_case") == ["über", "straße", "42", "snake_case"]
    assert words_of("हिन्दी में") == ["हिन्दी", "में"]  # vowel signs are not gaps
    assert words_of("می\u200cخواهم") == ["می\u200cخواهم"]
    assert words_of("❤\ufe0f !? \u0301") == []


def test_without_spaces_each_letter_with_its_marks_is_a_word() -> None:
    assert words_of("日本のテスト。二〇年") == list("日本のテスト二〇年")
    assert words_of("น้ำใจ") == ["น้", "ำ", "ใ", "จ"]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("中国人民", ["中国", "国人", "人民"]),
        ("猫とカメラ", ["猫と", "とカ", "カメ", "メラ"]),
        ("น้ำแข็ง", ["น้ำ", "ำแ", "แข็", "ข็ง"]),
        ("ລາວ ខ្មែរ", ["ລາ", "າວ", "ខ្មែ", "មែរ"]),
        ("မြန်မာ", ["မြန်", "န်မာ"]),
        ("山。海", ["山", "海"]),
        ("Python入門3版", ["python", "入門", "3", "版"]),
    ],
)
def test_terms_are_overlapping_pairs_of_letters(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


def test_terms_of_other_scripts_are_their_words() -> None:
    text = "The café’s Привет, γειά हिन्दी 한국어 x_1"
    assert terms_of(text) == words_of(text)
    assert len(terms_of(text)) == 8


@given(scripts)
def test_the_short_way_for_plain_text_changes_nothing(text: str) -> None:
    lowered = text.lower()
    assert words_of(text) == words._WORD.findall(lowered)
    assert "".join(words_of(text)) == "".join(words._RUN.findall(lowered))


@given(scripts)
def test_each_letter_of_a_text_is_in_a_word_and_ends_follow_each_other(text: str) -> None:
    ends = word_ends(text)
    assert ends == sorted(set(ends))
    letters = [letter for letter in text.lower() if letter.isalnum()]
    assert [letter for word in words_of(text) for letter in word if letter.isalnum()] == letters


def test_thai_documents_are_long_enough_to_be_cut() -> None:
    halves = cut_in_halves("แมวนอนบนเตียง หมาวิ่งในสวน", min_words=8)
    assert halves is not None
    assert "".join(halves).replace(" ", "") == "แมวนอนบนเตียงหมาวิ่งในสวน"
