"""Half-document retrieval: does the first half of a document find its second half?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from model.errors import CorpusError
from model.retrieval import hits_at, matching_ranks, reciprocal_ranks
from tasks.corpus import Corpus, Document
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.halves import cut_in_halves, recurring_lines, without_lines
from tasks.evaluate.sample import sample_documents
from tasks.evaluate.scores import HALF_DOCUMENT, Outcome
from tasks.evaluate.vectors import NamedVectors, System, cosine_blocks, vectors_of


@dataclass(frozen=True)
class HalfDocuments:
    """Query q asks with `first_halves[q]` and is answered by `second_halves[q]`.

    Attributes:
        first_halves: what is asked with.
        second_halves: what is ranked.
        num_test_documents: in the whole split.
        num_too_short: of them, too short for two halves.
        num_recurring_lines: distinct lines taken out because many documents share them.
    """

    first_halves: list[str]
    second_halves: list[str]
    num_test_documents: int
    num_too_short: int
    num_recurring_lines: int

    @property
    def num_queries(self) -> int:
        """How many documents ask and are asked for."""
        return len(self.first_halves)

    @property
    def num_not_sampled(self) -> int:
        """Documents long enough that the cap on queries left out."""
        return self.num_test_documents - self.num_too_short - self.num_queries


def half_documents(corpus: Corpus, config: EvaluateConfig) -> HalfDocuments:
    """Cut the test split's documents, or a seeded sample of them, into halves.

    Raises:
        CorpusError: fewer than two documents are long enough, so there is nothing to rank.
    """
    num_test_documents = corpus.about.num_documents.get("test", 0)
    long_enough = _long_enough(corpus.documents("test"), config.min_words)
    sample = sample_documents(long_enough, max_documents=config.max_queries, seed=config.seed)
    texts = [document.text for document in sample.documents]
    recurring = recurring_lines(texts, num_texts=len(texts), frac=config.recurring_line_frac)
    stripped = (without_lines(text, recurring) for text in texts)
    cuts = [cut_in_halves(text, min_words=config.min_words) for text in stripped]
    halves = [cut for cut in cuts if cut is not None]
    if len(halves) < 2:
        raise CorpusError(_too_small(len(halves), num_test_documents, config.min_words))
    return HalfDocuments(
        first_halves=[first for first, _ in halves],
        second_halves=[second for _, second in halves],
        num_test_documents=num_test_documents,
        num_too_short=num_test_documents - sample.num_available + cuts.count(None),
        num_recurring_lines=len(recurring),
    )


def half_document_outcomes(system: System, halves: HalfDocuments) -> Iterator[Outcome]:
    """Recall at 1 and 10 and the reciprocal rank of every query."""
    texts = halves.first_halves + halves.second_halves
    for named in vectors_of(system, texts):
        yield from _outcomes(named, halves.num_queries)


def _outcomes(named: NamedVectors, num_queries: int) -> Iterator[Outcome]:
    first, second = named.vectors[:num_queries], named.vectors[num_queries:]
    ranks_Q = matching_ranks(cosine_blocks(first, second))
    for measure, values_Q in (
        ("recall_at_1", hits_at(ranks_Q, 1)),
        ("recall_at_10", hits_at(ranks_Q, 10)),
        ("mrr", reciprocal_ranks(ranks_Q)),
    ):
        yield Outcome(named.system, HALF_DOCUMENT, measure, values_Q)


def _long_enough(documents: Iterable[Document], min_words: int) -> Iterator[Document]:
    for document in documents:
        if cut_in_halves(document.text, min_words=min_words) is not None:
            yield document


def _too_small(num_queries: int, num_test_documents: int, min_words: int) -> str:
    return (
        f"evaluate needs at least 2 test documents of {2 * min_words} words, the corpus has "
        f"{num_queries} among its {num_test_documents} test documents; give ingest more text or a "
        f"larger test split, or lower evaluate.min_words"
    )
