"""Doc2Vec: a text's vector is its own affair."""

import random

import numpy as np
import pytest

from model.errors import CorpusError
from tasks.evaluate.paragraph_vectors import Doc2Vec
from tests.corpora import FILLERS, topic_documents

TEXTS = [str(document["text"]) for document in topic_documents(150)]


@pytest.fixture(scope="module")
def model() -> Doc2Vec:
    return Doc2Vec(TEXTS, dim=16, num_epochs=20, seed=0)


def test_a_vector_does_not_depend_on_what_else_is_inferred(model: Doc2Vec) -> None:
    together = model.vectors(TEXTS[:4])
    alone = np.concatenate([model.vectors([text]) for text in reversed(TEXTS[:4])])
    np.testing.assert_array_equal(together, alone[::-1])


def test_inferring_teaches_the_model_nothing(model: Doc2Vec) -> None:
    before = model._model.syn1neg.copy(), model._model.wv.vectors.copy()
    model.vectors(TEXTS[:10])
    np.testing.assert_array_equal(before[0], model._model.syn1neg)
    np.testing.assert_array_equal(before[1], model._model.wv.vectors)


def test_vectors_have_unit_length_and_unknown_words_give_none(model: Doc2Vec) -> None:
    vectors = model.vectors([TEXTS[0], "qqq zzz", ""])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0], atol=1e-6)


def test_the_end_of_a_long_text_counts(model: Doc2Vec) -> None:
    start = " ".join(random.Random(0).choices(FILLERS, k=10_000))  # all that gensim would read
    end = " oven butter flour" * 300
    whole, without_end, kitchen = model.vectors([start + end, start, end])
    assert whole @ kitchen > without_end @ kitchen + 0.3


def test_texts_of_one_topic_are_alike(model: Doc2Vec) -> None:
    first, second, other = model.vectors(
        ["ship wave storm harbour ship", "sail anchor captain deck sail", "oven butter flour salt"]
    )
    assert first @ second > first @ other + 0.1


@pytest.mark.parametrize("texts", [[], ["...", "!"], ["every word once"]])
def test_without_a_repeated_word_there_is_nothing_to_learn(texts: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"occurs twice.*ingest more text"):
        Doc2Vec(texts, dim=8, num_epochs=1, seed=0)
