"""Masking takes out exactly the rare words that both halves share, each from one half."""

from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.evaluate.rare_words import mask_in_one_half, rare_shared_words, without_words
from tasks.evaluate.words import words_of

# Σ is left out: its form in lower case depends on the letters after it, also in another word.
wild_texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="Σ"),
        st.sampled_from("ab AB.!\n漢字かไทİ_\u0301"),
    ),
    max_size=40,
)


@given(wild_texts, st.data())
def test_what_is_taken_out_is_gone_and_all_other_words_stay_in_order(
    text: str, data: st.DataObject
) -> None:
    words = words_of(text)
    assume(words)
    taken = data.draw(st.sets(st.sampled_from(words)))
    assert words_of(without_words(text, taken)) == [word for word in words if word not in taken]


@given(wild_texts, wild_texts, st.text(max_size=5), st.integers(0, 2**32 - 1))
def test_no_shared_word_stays_in_both_halves_and_each_stays_in_one(
    first: str, second: str, doc_id: str, seed: int
) -> None:
    [rare] = rare_shared_words([(first, second)], [], document_frac=0)
    assert rare == set(words_of(first)) & set(words_of(second))
    masked = mask_in_one_half((first, second), rare, doc_id=doc_id, seed=seed)
    left, right = (set(words_of(half)) for half in masked)
    assert not left & right
    assert rare <= left | right
    assert left | right == set(words_of(first)) | set(words_of(second))


def test_nothing_stands_where_a_word_was() -> None:
    assert without_words("The Ada, (ada) and  ADAs\nada.", {"ada"}) == "The , () and  ADAs\n."
    assert without_words("No such word", set()) == "No such word"


def test_letters_of_scripts_without_blanks_are_kept_apart() -> None:
    assert without_words("x漢y", {"漢"}) == "x y"
    assert without_words("猫犬鳥。犬", {"犬"}) == "猫 鳥。"


def test_letters_that_grow_in_lower_case_do_not_shift_the_cut() -> None:
    assert without_words("İİ İzmir Ada İ.", {"ada"}) == "İİ İzmir  İ."
    assert without_words("Ada İzmir ada", set(words_of("İzmir"))) == "Ada  ada"


def test_a_word_is_rare_up_to_the_fraction_of_training_documents() -> None:
    halves = [("Ada saw the sea", "the SEA saw Ada"), ("Bob", "bob once"), ("one", "other")]
    train = ["the sea the sea", "the Ada", "The saw", *["the"] * 7]
    expected = [{"ada", "sea", "saw"}, {"bob"}, set()]
    assert rare_shared_words(halves, train, document_frac=0.1) == expected
    assert rare_shared_words(halves, train, document_frac=0.09) == [set(), {"bob"}, set()]
    assert rare_shared_words(halves, train, document_frac=1)[0] == {"ada", "sea", "saw", "the"}


def test_both_halves_lose_about_as_much_and_the_seed_decides_what() -> None:
    words = [f"w{number}" for number in range(400)]
    text = " ".join(words)
    first, second = mask_in_one_half((text, text), words, doc_id="d", seed=0)
    assert 150 < len(words_of(first)) < 250
    assert sorted(words_of(first) + words_of(second)) == sorted(words)
    assert mask_in_one_half((text, text), words, doc_id="d", seed=0) == (first, second)
    assert mask_in_one_half((text, text), words, doc_id="e", seed=0) != (first, second)
    assert mask_in_one_half((text, text), words, doc_id="d", seed=1) != (first, second)
