"""What gensim is fed."""

from tasks.evaluate.gensim_input import Pieces


def test_no_word_of_a_long_text_is_cut_off() -> None:
    words = [f"w{number}" for number in range(25_000)]
    pieces = list(Pieces([" ".join(words)]))
    assert [word for piece in pieces for word in piece] == words
    assert max(map(len, pieces)) <= 10_000  # past it gensim cuts


def test_texts_can_be_passed_over_again() -> None:
    pieces = Pieces(["One two", "...", "three"])
    assert list(pieces) == list(pieces) == [["one", "two"], ["three"]]
