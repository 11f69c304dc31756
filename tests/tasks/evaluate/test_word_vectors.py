"""Means of word vectors: weighted as they say, and the same model for both."""

import numpy as np
import pytest

from model.errors import CorpusError
from tasks.evaluate.word_vectors import MeanWord2Vec, Sif, WordVectors
from tests.corpora import topic_documents

TEXTS = [str(document["text"]) for document in topic_documents(120)]


@pytest.fixture(scope="module")
def words() -> WordVectors:
    return WordVectors.train(TEXTS * 4, dim=24, num_epochs=10, seed=0)


def test_word2vec_learns_which_words_go_together(words: WordVectors) -> None:
    ship, sail, oven = MeanWord2Vec(words).vectors(["ship harbour", "sail anchor", "oven butter"])
    assert ship @ sail > ship @ oven + 0.1


def test_another_seed_is_another_model() -> None:
    first, other = (
        WordVectors.train(TEXTS, dim=8, num_epochs=1, seed=seed).vectors_VD for seed in (0, 1)
    )
    assert not np.array_equal(first, other)


def test_vectors_have_unit_length_and_unknown_words_give_none(words: WordVectors) -> None:
    for model in (MeanWord2Vec(words), Sif(words, TEXTS)):
        vectors = model.vectors([TEXTS[0], "qqq zzz", ""])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0], atol=1e-6)


def test_the_mean_is_that_of_the_known_words(words: WordVectors) -> None:
    sum_D = sum(words.vectors_VD[words.index_of_word[word]] for word in ("ship", "ship", "oven"))
    found = MeanWord2Vec(words).vectors(["Ship qqq ship, oven"])[0]
    np.testing.assert_allclose(found, sum_D / np.linalg.norm(sum_D), atol=1e-6)


def test_shares_of_words_are_those_of_the_text(words: WordVectors) -> None:
    assert words.frac_V.sum() == pytest.approx(1)
    all_words = " ".join(TEXTS).lower().replace(".", "").split()
    share = all_words.count("the") / len(all_words)
    assert words.frac_V[words.index_of_word["the"]] == pytest.approx(share)


def test_sif_is_algorithm_1_of_the_paper(words: WordVectors) -> None:
    model = Sif(words, TEXTS)
    means = []
    for text in TEXTS:
        found = [words.index_of_word[word] for word in text.lower().replace(".", "").split()]
        weighted = [1e-3 / (1e-3 + words.frac_V[i]) * words.vectors_VD[i] for i in found]
        means.append(sum(weighted) / len(found))
    stacked = np.array(means)
    common_D = np.linalg.svd(stacked, full_matrices=False)[2][0]
    assert abs(common_D @ model.common_D) == pytest.approx(1, abs=1e-6)
    left = stacked - np.outer(stacked @ common_D, common_D)
    expected = left / np.linalg.norm(left, axis=1, keepdims=True)
    np.testing.assert_allclose(model.vectors(TEXTS), expected, atol=1e-4)


def test_the_common_direction_is_gone(words: WordVectors) -> None:
    model = Sif(words, TEXTS)
    assert np.abs(model.vectors([*TEXTS, "ship oven"]) @ model.common_D).max() < 1e-5
    plain = MeanWord2Vec(words).vectors(TEXTS)
    assert np.abs(plain @ model.common_D).mean() > 0.5


@pytest.mark.parametrize("texts", [[], ["...", "!"], ["every word once"]])
def test_without_a_repeated_word_there_is_nothing_to_learn(texts: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"occurs twice.*ingest more text"):
        WordVectors.train(texts, dim=8, num_epochs=1, seed=0)
