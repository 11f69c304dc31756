"""Word2Vec as it stands beside an encoder: skip-gram that depends on words and seed alone."""

from collections.abc import Iterable, Iterator
from itertools import islice
from zlib import crc32

from gensim.models.word2vec import MAX_WORDS_IN_BATCH, Word2Vec

# Small corpora give a word few updates, and the mean over a text is of all its words: a higher rate
# and fewer updates from frequent words than gensim's defaults made this baseline much stronger.
_LEARNING_RATE = 0.05
_FREQUENT_WORD_FRAC = 1e-4


def pieces_of(words: Iterable[str]) -> Iterator[list[str]]:
    """The words of a text, in pieces of a length that gensim takes whole: it cuts silently."""
    rest = iter(words)
    while piece := list(islice(rest, MAX_WORDS_IN_BATCH)):
        yield piece


def hash_of_word(word: str) -> int:
    """A hash that does not change with PYTHONHASHSEED, as Python's own does."""
    return crc32(word.encode())


def train_skip_gram(
    pieces: Iterable[list[str]], *, dim: int, num_epochs: int, seed: int
) -> Word2Vec:
    """Train with one worker: the same seed gives the same vectors, bit for bit.

    Where no word occurs twice nothing is trained: the model comes back without vectors, to be
    refused by who knows where the words are from.

    Args:
        pieces: of the texts, as from `pieces_of`; gone through several times.
        dim: width of a vector.
        num_epochs: passes over the pieces.
        seed: of vectors and samples.

    Source: Mikolov et al. 2013, "Distributed representations of words and phrases and their
    compositionality", as gensim implements it; skip-gram with negative samples.
    """
    model = Word2Vec(
        vector_size=dim,
        min_count=2,
        sg=1,
        alpha=_LEARNING_RATE,
        sample=_FREQUENT_WORD_FRAC,
        workers=1,
        seed=seed,
        hashfxn=hash_of_word,
    )
    model.build_vocab(pieces)
    if len(model.wv):
        model.train(pieces, total_examples=model.corpus_count, epochs=num_epochs)
    return model
