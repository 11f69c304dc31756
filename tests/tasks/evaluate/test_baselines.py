"""Baselines: strong where they should be, and the same in every process."""

import os
import subprocess
import sys

import numpy as np
import pytest

from model.errors import CorpusError
from model.retrieval import matching_ranks
from tasks.evaluate.baselines import MeanWord2Vec, Tfidf, _Sentences
from tasks.evaluate.vectors import NamedVectors, cosine_blocks, unit_rows, vectors_of
from tests.corpora import topic_documents

TEXTS = [str(document["text"]) for document in topic_documents(120)]

PRINT_DIGEST = """
import hashlib
from tests.tasks.evaluate.test_baselines import word2vec
print(hashlib.sha256(word2vec().tobytes()).hexdigest())
"""


def word2vec(seed: int = 0) -> np.ndarray:
    return MeanWord2Vec(TEXTS, dim=16, num_epochs=2, seed=seed).vectors(TEXTS[:20])


def test_word2vec_does_not_depend_on_the_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert not np.array_equal(word2vec(0), word2vec(1))


def test_word2vec_learns_which_words_go_together() -> None:
    model = MeanWord2Vec(TEXTS * 4, dim=24, num_epochs=10, seed=0)
    ship, sail, oven = model.vectors(["ship harbour", "sail anchor", "oven butter"])
    assert ship @ sail > ship @ oven + 0.1


def test_no_word_of_a_long_text_is_cut_off() -> None:
    words = [f"w{number}" for number in range(25_000)]
    pieces = list(_Sentences([" ".join(words)]))
    assert [word for piece in pieces for word in piece] == words
    assert max(map(len, pieces)) <= 10_000  # past it gensim cuts


def test_vectors_have_unit_length_and_unknown_words_give_none() -> None:
    model = MeanWord2Vec(TEXTS, dim=16, num_epochs=1, seed=0)
    known, unknown = np.linalg.norm(model.vectors([TEXTS[0], "qqq zzz"]), axis=1)
    assert known == pytest.approx(1, abs=1e-6)
    assert unknown == 0


def test_tfidf_finds_a_text_by_its_rare_word_in_any_case() -> None:
    model = Tfidf(TEXTS)
    queries = model.vectors(["ANCHOR of the", "the and pepper"])
    answers = model.vectors(["the and the anchor", "with pepper on it"])
    assert matching_ranks(cosine_blocks(queries, answers)).tolist() == [1, 1]


@pytest.mark.parametrize("texts", [[], ["...", "!"]])
def test_without_words_there_is_nothing_to_learn(texts: list[str]) -> None:
    with pytest.raises(CorpusError, match="ingest more text"):
        Tfidf(texts)
    with pytest.raises(CorpusError, match="ingest more text"):
        MeanWord2Vec(texts, dim=8, num_epochs=1, seed=0)


def test_sparse_and_dense_similarities_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.evaluate.vectors._BLOCK_BYTES", 4 * 30 * 7)
    sparse = Tfidf(TEXTS).vectors(TEXTS[:30])
    blocks = list(cosine_blocks(sparse, sparse))
    assert [len(block) for block in blocks] == [7, 7, 7, 7, 2]
    dense = np.concatenate(list(cosine_blocks(sparse.toarray(), sparse.toarray())))
    np.testing.assert_allclose(np.concatenate(blocks), dense, atol=1e-6)
    np.testing.assert_allclose(np.diag(dense), 1, atol=1e-6)


class Squares:
    name = "squares"
    cut_dims = (2,)

    def vectors(self, texts: list[str]) -> np.ndarray:
        return unit_rows(np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]])[: len(texts)])


def test_shortened_vectors_are_normalised_again_under_their_own_name() -> None:
    whole, cut = vectors_of(Squares(), ["a", "b"])
    assert isinstance(whole, NamedVectors)
    assert (whole.system, cut.system) == ("squares", "squares_dim_2")
    np.testing.assert_allclose(cut.vectors, [[0.6, 0.8], [0, 0]])
