"""Systems that weigh the words two texts share: TF-IDF, BM25, and LSA on top of TF-IDF.

Each learns its vocabulary from the training documents only; a term none of them has is unknown
and counts for nothing. Terms are those of `tasks.evaluate.words.terms_of`.
Shape letters: N texts, V terms of the vocabulary, D dimensions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from model.errors import CorpusError
from tasks.evaluate.vectors import Symmetric, Vectors, unit_rows
from tasks.evaluate.words import terms_of

NO_WORDS = "the baselines cannot learn: no training document holds a word; give ingest more text"

# In the middle of what Robertson and Zaragoza 2009 (section 3.2.5) found good in many collections,
# and what search engines ship; not tuned on our tasks.
_K1 = 1.2
_B = 0.75


class Tfidf(Symmetric):
    """Terms weighted by how rare they are over documents: strong wherever wording is repeated."""

    name = "tfidf"
    cut_dims: Sequence[int] = ()

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn vocabulary and document frequencies.

        Raises:
            CorpusError: no text holds a word.
        """
        self._vectorizer = TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, dtype=np.float32)
        _fit(self._vectorizer, texts)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """CSR float32 [N, V]; rows of unit length, zero without a known term."""
        return self._vectorizer.transform(texts)


class Bm25:
    """BM25: a term counts less with each repetition, and less in a long text.

    The score of text d for query q is the sum over their terms t of
    ``count(t, q) idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b length(d) / mean length))``, with
    ``tf = count(t, d)`` and ``idf(t) = ln(1 + (N - n(t) + 0.5) / (n(t) + 0.5))``: N training texts,
    n(t) of them with the term, lengths in terms, unknown ones included. The 1 in the logarithm
    keeps the weight of terms in most texts above zero.

    Source: Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond",
    section 3.2; the logarithm as in Lucene.
    """

    name = "bm25"
    cut_dims: Sequence[int] = ()

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn vocabulary, document frequencies and the mean length.

        Raises:
            CorpusError: no text holds a word.
        """
        self._vectorizer = CountVectorizer(analyzer=terms_of, dtype=np.float32)
        counts_NV = _fit(self._vectorizer, texts)
        num_with_term_V = np.bincount(counts_NV.indices, minlength=counts_NV.shape[1])
        num_without_V = len(texts) - num_with_term_V
        self._idf_V = np.log1p((num_without_V + 0.5) / (num_with_term_V + 0.5)).astype(np.float32)
        self._mean_length = float(counts_NV.sum(dtype=np.float64)) / len(texts)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """CSR float32 [N, V]: saturated, length-normalised and idf-weighted counts, not unit rows.

        The weight of a term stands here whole, not in the query, so that these rows also serve as
        features of a text by itself; the scores are the same.
        """
        lengths_N = np.array([len(terms_of(text)) for text in texts], dtype=np.float32)
        weights_NV = self._vectorizer.transform(texts)
        damping_N = _K1 * (1 - _B + _B * lengths_N / self._mean_length)
        counts = weights_NV.data
        damping = np.repeat(damping_N, np.diff(weights_NV.indptr))
        saturated = counts * (_K1 + 1) / (counts + damping)
        weights_NV.data = (saturated * self._idf_V[weights_NV.indices]).astype(np.float32)
        return weights_NV

    def query_vectors(self, texts: Sequence[str]) -> Vectors:
        """CSR float32 [N, V]: how often each known term stands in the query."""
        return self._vectorizer.transform(texts)


class Lsa(Symmetric):
    """TF-IDF pressed into the few directions in which the training documents vary most.

    Source: Deerwester et al. 1990, "Indexing by latent semantic analysis"; the singular vectors by
    the randomized method of Halko et al. 2011.
    """

    name = "lsa"
    cut_dims: Sequence[int] = ()

    def __init__(self, texts: Sequence[str], *, dim: int, seed: int) -> None:
        """Fit; `dim` is clipped to the number of texts and of terms, which allow no more.

        Raises:
            CorpusError: no text holds a word.

        Cost: memory of a few times dim x V float32.
        """
        self._vectorizer = TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, dtype=np.float32)
        weights_NV = _fit(self._vectorizer, texts)
        # As scikit-learn's TruncatedSVD does it, which refuses a vocabulary of one term.
        *_, self._directions_DV = randomized_svd(
            weights_NV, min(dim, *weights_NV.shape), n_iter=5, random_state=seed
        )

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [N, D]; rows of unit length, zero without a known term."""
        dense_ND = self._vectorizer.transform(texts) @ self._directions_DV.T
        unit_ND: NDArray[np.float32] = unit_rows(dense_ND).astype(np.float32)
        return unit_ND


def _fit(vectorizer: Any, texts: Sequence[str]) -> sparse.csr_matrix:
    try:
        return vectorizer.fit_transform(texts)
    except ValueError as error:  # scikit-learn's "empty vocabulary"
        raise CorpusError(NO_WORDS) from error
