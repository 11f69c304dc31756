"""Skip-gram depends on words and seed alone, and is not trained on nothing."""

import numpy as np

from tasks.skip_gram import hash_of_word, pieces_of, train_skip_gram

PIECES = [["ship", "sea", "storm"], ["sea", "ship", "calm"], ["storm", "calm", "sea"]]


def test_no_word_of_a_long_text_is_cut_off() -> None:
    words = [f"w{number}" for number in range(25_000)]
    pieces = list(pieces_of(words))
    assert [word for piece in pieces for word in piece] == words
    assert max(map(len, pieces)) <= 10_000  # past it gensim cuts


def test_a_words_hash_is_the_crc_that_all_know() -> None:
    assert hash_of_word("123456789") == 0xCBF43926


def test_the_seed_alone_decides() -> None:
    first, same, other = (
        train_skip_gram(PIECES, dim=8, num_epochs=2, seed=seed).wv for seed in (0, 0, 1)
    )
    assert first.index_to_key == same.index_to_key
    assert np.array_equal(first.vectors, same.vectors)
    assert not np.array_equal(first.vectors, other.vectors)


def test_words_that_stand_once_are_not_learned() -> None:
    assert len(train_skip_gram([["one", "two"], ["three"]], dim=8, num_epochs=1, seed=0).wv) == 0
