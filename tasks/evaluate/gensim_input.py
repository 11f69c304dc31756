"""What gensim's models learn from: the terms of texts, of which some must occur twice."""

from collections.abc import Iterator, Sequence

from model.errors import CorpusError
from tasks.evaluate.words import terms_of
from tasks.skip_gram import pieces_of

NO_REPEATED_WORD = (
    "the baselines cannot learn: no word of the training documents occurs twice; "
    "give ingest more text or a larger training split"
)


class Pieces:
    """Texts as pieces of terms, made anew on each pass so that memory stays at one text's terms."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[list[str]]:
        for text in self._texts:
            yield from pieces_of(terms_of(text))


def refuse_empty_vocabulary(num_words: int) -> None:
    """Refuse to train where no word was counted twice.

    Raises:
        CorpusError: there is no word.
    """
    if num_words == 0:
        raise CorpusError(NO_REPEATED_WORD)
