"""Lexical systems against their formulas and against scikit-learn's own pipeline."""

import math

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from model.errors import CorpusError
from model.retrieval import matching_ranks
from tasks.evaluate.lexical import Bm25, Lsa, Tfidf
from tasks.evaluate.vectors import cosine_blocks, vectors_of
from tests.corpora import topic_documents

TEXTS = [str(document["text"]) for document in topic_documents(60)]
TOY = ["the cat sat on the mat", "the dog sat", "a bird", "the the the cat"]


def test_tfidf_finds_a_text_by_its_rare_word_in_any_case() -> None:
    model = Tfidf(TEXTS)
    queries = model.query_vectors(["ANCHOR of the", "the and pepper"])
    answers = model.vectors(["the and the anchor", "with pepper on it"])
    assert matching_ranks(cosine_blocks(queries, answers)).tolist() == [1, 1]


def test_tfidf_rows_have_unit_length() -> None:
    rows = Tfidf(TEXTS).vectors([TEXTS[0], "qqq zzz"]).toarray()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0], atol=1e-6)


def bm25_score(query: str, text: str) -> float:
    """Robertson's formula, written out."""
    split = [known.split() for known in TOY]
    mean_length = sum(map(len, split)) / len(split)
    words = text.split()
    total = 0.0
    for word in query.split():  # a repeated word is added each time
        num_with = sum(word in known for known in split)
        if num_with:
            idf = math.log(1 + (len(split) - num_with + 0.5) / (num_with + 0.5))
            tf = words.count(word)
            total += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(words) / mean_length))
    return total


def test_bm25_is_the_sum_of_its_formula() -> None:
    queries = ["the cat", "the the dog bird", "unknown", "sat sat sat mat"]
    texts = [*TOY, "cat cat with an unknown tail", "", "strangers only"]
    model = Bm25(TOY)
    found = (model.query_vectors(queries) @ model.vectors(texts).T).toarray()
    expected = [[bm25_score(query, text) for text in texts] for query in queries]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.min() == 0  # no term, however frequent, speaks against a text


def test_bm25_prefers_the_shorter_of_two_texts_and_saturates() -> None:
    model = Bm25(TEXTS)
    texts = ["anchor", "anchor oven butter flour", "anchor " * 50, "anchor " * 500]
    scores = (model.query_vectors(["anchor"]) @ model.vectors(texts).T).toarray()[0]
    assert scores[0] > scores[1]
    assert scores[3] < 1.1 * scores[2]


def test_bm25_features_have_unit_length_where_a_text_stands_alone() -> None:
    (named,) = vectors_of(Bm25(TEXTS), [TEXTS[0], "qqq zzz"])
    lengths = np.linalg.norm(named.vectors.toarray(), axis=1)
    np.testing.assert_allclose(lengths, [1, 0], atol=1e-6)


def test_lsa_is_the_pipeline_of_scikit_learn() -> None:
    theirs = make_pipeline(
        TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True, dtype=np.float32),
        TruncatedSVD(8, random_state=3),
        Normalizer(copy=False),
    ).fit(TEXTS)
    ours, expected = Lsa(TEXTS, dim=8, seed=3).vectors(TEXTS[:9]), theirs.transform(TEXTS[:9])
    assert ours.dtype == np.float32
    signs = np.sign(np.sum(ours * expected, axis=0))  # of a singular vector is anyone's choice
    np.testing.assert_allclose(ours, signs * expected, atol=1e-5)


def test_lsa_is_as_narrow_as_the_corpus_makes_it() -> None:
    assert Lsa(TEXTS[:3], dim=256, seed=0).vectors(TEXTS).shape == (60, 3)
    one_word = Lsa(["one", "one", "one"], dim=256, seed=0).vectors(["one", "two"])
    np.testing.assert_allclose(np.abs(one_word), [[1], [0]], atol=1e-6)


def test_all_of_lsa_is_tfidf() -> None:
    few = TEXTS[:20]
    whole, narrow = Tfidf(few).vectors(few), Lsa(few, dim=500, seed=0).vectors(few)
    np.testing.assert_allclose(narrow @ narrow.T, (whole @ whole.T).toarray(), atol=1e-4)


@pytest.mark.parametrize("texts", [[], ["...", "!"]])
def test_without_words_there_is_nothing_to_learn(texts: list[str]) -> None:
    for fit in (Tfidf, Bm25, lambda given: Lsa(given, dim=8, seed=0)):
        with pytest.raises(CorpusError, match="ingest more text"):
            fit(texts)
