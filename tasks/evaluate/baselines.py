"""Two classic ways to turn a document into a vector, fitted on the training documents."""

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from gensim.models.word2vec import MAX_WORDS_IN_BATCH, Word2Vec
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from model.errors import CorpusError
from tasks.evaluate.vectors import Vectors, unit_rows
from tasks.evaluate.words import words_of

# Small corpora give a word few updates, and the mean over a text is of all its words: a higher rate
# and fewer updates from frequent words than gensim's defaults made this baseline much stronger.
_LEARNING_RATE = 0.05
_FREQUENT_WORD_FRAC = 1e-4

NO_WORDS = (
    "the baselines cannot learn: no word of the training documents occurs twice; "
    "give ingest more text or a larger training split"
)


class Tfidf:
    """Words weighted by how rare they are over documents: strong wherever wording is repeated."""

    name = "tfidf"
    cut_dims: Sequence[int] = ()

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn vocabulary and document frequencies.

        Raises:
            CorpusError: no text holds a word.
        """
        self._vectorizer = TfidfVectorizer(analyzer=words_of, sublinear_tf=True, dtype=np.float32)
        try:
            self._vectorizer.fit(texts)
        except ValueError as error:  # scikit-learn's "empty vocabulary"
            raise CorpusError(NO_WORDS) from error

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """CSR float32 [texts, vocabulary]; rows of unit length, zero without a known word."""
        return self._vectorizer.transform(texts)


class MeanWord2Vec:
    """The mean of a document's Word2Vec vectors: meaning of words, blind to their order.

    Source: Mikolov et al. 2013, "Efficient estimation of word representations in vector space",
    as gensim implements it; skip-gram with negative samples.
    """

    name = "word2vec"
    cut_dims: Sequence[int] = ()

    def __init__(self, texts: Sequence[str], *, dim: int, num_epochs: int, seed: int) -> None:
        """Train on the texts with one worker: the same seed gives the same vectors, bit for bit.

        Raises:
            CorpusError: no word occurs twice.
        """
        sentences = _Sentences(texts)
        model = Word2Vec(
            vector_size=dim,
            min_count=2,
            sg=1,
            alpha=_LEARNING_RATE,
            sample=_FREQUENT_WORD_FRAC,
            workers=1,
            seed=seed,
            hashfxn=_hash_of_word,
        )
        model.build_vocab(sentences)
        if len(model.wv) == 0:
            raise CorpusError(NO_WORDS)
        model.train(sentences, total_examples=model.corpus_count, epochs=num_epochs)
        self._index_of_word: dict[str, int] = model.wv.key_to_index
        self._vectors_VD: NDArray[np.float32] = model.wv.vectors

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [texts, dim]; rows of unit length, zero without a known word."""
        means = np.stack([self._mean_vector(text) for text in texts])
        return unit_rows(means)

    def _mean_vector(self, text: str) -> NDArray[np.float32]:
        indexes = [
            self._index_of_word[word] for word in words_of(text) if word in self._index_of_word
        ]
        if not indexes:
            return np.zeros(self._vectors_VD.shape[1], dtype=np.float32)
        mean_D: NDArray[np.float32] = self._vectors_VD[indexes].mean(axis=0)
        return mean_D


class _Sentences:
    """Texts as word lists, made anew on each pass so that memory stays at one text's words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[list[str]]:
        for text in self._texts:
            words = words_of(text)
            # gensim silently cuts a longer sentence.
            for start in range(0, len(words), MAX_WORDS_IN_BATCH):
                yield words[start : start + MAX_WORDS_IN_BATCH]


def _hash_of_word(word: str) -> int:
    """A hash that does not change with PYTHONHASHSEED, as Python's own does."""
    return crc32(word.encode())
