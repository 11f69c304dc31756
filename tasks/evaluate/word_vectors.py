"""Word2Vec vectors of the training documents' words, and two ways to make one of a whole text.

Terms are those of `tasks.evaluate.words.terms_of`.
Shape letters: N texts, V words of the vocabulary, D dimensions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.gensim_input import Pieces, refuse_empty_vocabulary
from tasks.evaluate.vectors import Symmetric, unit_rows
from tasks.evaluate.words import terms_of
from tasks.skip_gram import train_skip_gram

_SIF_A = 1e-3  # Arora et al. 2017, section 4: 1e-3 to 1e-4 did best, and much the same


@dataclass(frozen=True)
class WordVectors:
    """Words that occur at least twice in the training documents.

    Attributes:
        index_of_word: row of each word.
        vectors_VD: float32.
        frac_V: float64, each word's share of all occurrences of these words.
    """

    index_of_word: dict[str, int]
    vectors_VD: NDArray[np.float32]
    frac_V: NDArray[np.float64]

    @classmethod
    def train(cls, texts: Sequence[str], *, dim: int, num_epochs: int, seed: int) -> Self:
        """Train on the texts with one worker: the same seed gives the same vectors, bit for bit.

        Raises:
            CorpusError: no word occurs twice.

        Source: Mikolov et al. 2013, "Efficient estimation of word representations in vector
        space", as gensim implements it; skip-gram with negative samples.
        """
        model = train_skip_gram(Pieces(texts), dim=dim, num_epochs=num_epochs, seed=seed)
        refuse_empty_vocabulary(len(model.wv))
        counts_V = np.array([model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key])
        return cls(model.wv.key_to_index, model.wv.vectors, counts_V / counts_V.sum())

    def weighted_means(
        self, texts: Sequence[str], weights_V: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """``sum of weight x vector / number of known words`` of each text, [N, D], zero if none."""
        means_ND = np.zeros((len(texts), self.vectors_VD.shape[1]))
        for row, text in enumerate(texts):
            counts = Counter(word for word in terms_of(text) if word in self.index_of_word)
            if counts:
                indexes = [self.index_of_word[word] for word in counts]
                shares = np.array(list(counts.values())) / counts.total()
                means_ND[row] = (shares * weights_V[indexes]) @ self.vectors_VD[indexes]
        return means_ND


class MeanWord2Vec(Symmetric):
    """The mean of a text's word vectors: meaning of words, blind to their order."""

    name = "word2vec"
    cut_dims: Sequence[int] = ()

    def __init__(self, words: WordVectors) -> None:
        self._words = words

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [N, D]; rows of unit length, zero without a known word."""
        means_ND = self._words.weighted_means(texts, np.ones(len(self._words.frac_V)))
        unit_ND: NDArray[np.float32] = unit_rows(means_ND).astype(np.float32)
        return unit_ND


class Sif(Symmetric):
    """Smooth inverse frequency: rare words weigh more, and what all texts share is taken out.

    A word of frequency p weighs a / (a + p). From each text's weighted mean, its part along the
    first singular vector of the training documents' weighted means is removed.

    Source: Arora, Liang and Ma 2017, "A simple but tough-to-beat baseline for sentence embeddings",
    section 3, algorithm 1.
    """

    name = "sif"
    cut_dims: Sequence[int] = ()

    def __init__(self, words: WordVectors, texts: Sequence[str]) -> None:
        """Find the common direction of the training documents `texts`; nothing is trained anew."""
        self._words = words
        self._weights_V = _SIF_A / (_SIF_A + words.frac_V)
        means_ND = words.weighted_means(texts, self._weights_V)
        # The eigenvector of D x D sums is the singular vector of N x D, and cheaper.
        self._common_D = np.linalg.eigh(means_ND.T @ means_ND).eigenvectors[:, -1]

    @property
    def common_D(self) -> NDArray[np.float64]:
        """The direction that is removed, of unit length."""
        return self._common_D

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [N, D]; rows of unit length, zero without a known word."""
        means_ND = self._words.weighted_means(texts, self._weights_V)
        means_ND -= np.outer(means_ND @ self._common_D, self._common_D)
        unit_ND: NDArray[np.float32] = unit_rows(means_ND).astype(np.float32)
        return unit_ND
