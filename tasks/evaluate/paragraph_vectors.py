"""Doc2Vec: a vector for each text that is trained to predict the text's words.

Terms are those of `tasks.evaluate.words.terms_of`.
Shape letters: N texts, D dimensions.
"""

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from gensim.models import doc2vec as gensim_doc2vec
from numpy.typing import NDArray

from tasks.evaluate.gensim_input import refuse_empty_vocabulary
from tasks.evaluate.vectors import Symmetric, unit_rows
from tasks.evaluate.words import terms_of
from tasks.skip_gram import hash_of_word, pieces_of

# A half document has few words to infer from: leaving out frequent ones, or a higher rate, made
# this baseline weaker on news (1,427 documents).
_LEARNING_RATE = 0.025
_LAST_LEARNING_RATE = 1e-4
_FREQUENT_WORD_FRAC = 0.0  # none is left out


class Doc2Vec(Symmetric):
    """Paragraph vectors of the kind PV-DBOW: blind to order, like the bag it predicts.

    Source: Le and Mikolov 2014, "Distributed representations of sentences and documents",
    section 2.3, as gensim implements it, with negative samples.
    """

    name = "doc2vec"
    cut_dims: Sequence[int] = ()

    def __init__(self, texts: Sequence[str], *, dim: int, num_epochs: int, seed: int) -> None:
        """Train on the texts with one worker: the same seed gives the same model, bit for bit.

        Raises:
            CorpusError: no word occurs twice.
        """
        documents = _TaggedPieces(texts)
        self._model = gensim_doc2vec.Doc2Vec(
            dm=0,
            vector_size=dim,
            min_count=2,
            alpha=_LEARNING_RATE,
            min_alpha=_LAST_LEARNING_RATE,
            sample=_FREQUENT_WORD_FRAC,
            workers=1,
            epochs=num_epochs,
            seed=seed,
            hashfxn=hash_of_word,
        )
        self._seed = seed
        self._model.build_vocab(documents)
        refuse_empty_vocabulary(len(self._model.wv))
        self._model.train(
            documents, total_examples=self._model.corpus_count, epochs=self._model.epochs
        )

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [N, D]; rows of unit length, zero without a known word.

        Each is inferred by itself, training documents like all others: the same text gets the same
        vector whatever else is asked.

        Cost: as many passes over each text as in training.
        """
        inferred_ND = np.stack([self._infer(text) for text in texts])
        unit_ND: NDArray[np.float32] = unit_rows(inferred_ND)
        return unit_ND

    def _infer(self, text: str) -> NDArray[np.float32]:
        # gensim's own infer_vector starts from Python's hash of the text, draws from a generator
        # that earlier texts have moved on, and reads the first 10,000 words only.
        model = self._model
        pieces = [
            [word for word in piece if word in model.wv] for piece in pieces_of(terms_of(text))
        ]
        vector_1D = np.zeros((1, model.vector_size), dtype=np.float32)
        if not any(pieces):
            return vector_1D.reshape(-1)
        model.random = np.random.RandomState(crc32(text.encode()) ^ self._seed)
        vector_1D[:] = model.random.uniform(-0.5, 0.5, vector_1D.shape) / model.vector_size
        for rate in np.linspace(_LEARNING_RATE, _LAST_LEARNING_RATE, model.epochs):
            for piece in pieces:
                self._step(vector_1D, piece, rate)
        return vector_1D.reshape(-1)

    def _step(self, vector_1D: NDArray[np.float32], piece: list[str], rate: float) -> None:
        """Move the text's vector, in place, towards the words of a piece; the model stays."""
        gensim_doc2vec.train_document_dbow(
            self._model,
            piece,
            [0],
            rate,
            learn_words=False,
            learn_hidden=False,
            doctag_vectors=vector_1D,
            doctags_lockf=np.ones(1, dtype=np.float32),
        )


class _TaggedPieces:
    """Texts as gensim's tagged documents; pieces of one text carry one tag, its number."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[gensim_doc2vec.TaggedDocument]:
        for number, text in enumerate(self._texts):
            for piece in pieces_of(terms_of(text)):
                yield gensim_doc2vec.TaggedDocument(piece, [number])
