"""What gensim's models are fed: pieces of texts it does not cut, and hashes it can repeat."""

from collections.abc import Iterator, Sequence
from itertools import islice
from zlib import crc32

from gensim.models.word2vec import MAX_WORDS_IN_BATCH

from model.errors import CorpusError
from tasks.evaluate.words import terms_of

NO_REPEATED_WORD = (
    "the baselines cannot learn: no word of the training documents occurs twice; "
    "give ingest more text or a larger training split"
)


def pieces_of(text: str) -> Iterator[list[str]]:
    """The terms of a text, in pieces of a length that gensim takes whole: it cuts silently."""
    terms = iter(terms_of(text))
    while piece := list(islice(terms, MAX_WORDS_IN_BATCH)):
        yield piece


class Pieces:
    """Texts as pieces of terms, made anew on each pass so that memory stays at one text's terms."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[list[str]]:
        for text in self._texts:
            yield from pieces_of(text)


def hash_of_word(word: str) -> int:
    """A hash that does not change with PYTHONHASHSEED, as Python's own does."""
    return crc32(word.encode())


def refuse_empty_vocabulary(num_words: int) -> None:
    """Refuse to train where no word was counted twice.

    Raises:
        CorpusError: there is no word.
    """
    if num_words == 0:
        raise CorpusError(NO_REPEATED_WORD)
