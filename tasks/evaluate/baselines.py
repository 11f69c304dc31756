"""Fits the classic baselines on the training documents, one after another."""

from collections.abc import Iterator, Sequence

from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.lexical import Bm25, Lsa, Tfidf
from tasks.evaluate.paragraph_vectors import Doc2Vec
from tasks.evaluate.vectors import System
from tasks.evaluate.word_vectors import MeanWord2Vec, Sif, WordVectors
from tasks.stage import Reporter


def baseline_systems(
    texts: Sequence[str], config: EvaluateConfig, report: Reporter
) -> Iterator[System]:
    """tfidf, bm25, lsa, word2vec, sif and doc2vec, each fitted when it is asked for.

    So memory holds one at a time, where the caller keeps none. The two means of word vectors share
    one Word2Vec model. All is deterministic in `config.seed`, on machines of one kind.

    Args:
        texts: the training documents, all that any of them learns from.
        config: widths, epochs and the seed.
        report: hears what is being fitted.

    Raises:
        CorpusError: nothing can be learned: no word in the texts, or none that occurs twice. A
            corpus that is merely small gives small models: widths are clipped to what it allows.
    """

    def say(what: str) -> None:
        report.message(f"fitting {what} on {len(texts)} training documents")

    say("TF-IDF")
    yield Tfidf(texts)
    say("BM25")
    yield Bm25(texts)
    say("LSA")
    yield Lsa(texts, dim=config.lsa_dim, seed=config.seed)
    say("Word2Vec")
    yield from _means_of_words(texts, config)
    say("Doc2Vec")
    yield Doc2Vec(texts, dim=config.doc2vec_dim, num_epochs=config.doc2vec_epochs, seed=config.seed)


def _means_of_words(texts: Sequence[str], config: EvaluateConfig) -> Iterator[System]:
    words = WordVectors.train(
        texts, dim=config.word2vec_dim, num_epochs=config.word2vec_epochs, seed=config.seed
    )
    yield MeanWord2Vec(words)
    yield Sif(words, texts)
