"""Half-document retrieval: does the first half of a document find its second half?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from scipy import sparse

from model.errors import CorpusError
from model.retrieval import hits_at, matching_ranks, reciprocal_ranks
from model.spread import spread
from tasks.corpus import Corpus, CorpusSummary, Document
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.halves import cut_in_halves, recurring_lines, without_lines
from tasks.evaluate.layers import LayeredEmbedder
from tasks.evaluate.rare_words import mask_in_one_half, rare_shared_words
from tasks.evaluate.sample import sample_documents
from tasks.evaluate.scores import GEOMETRY, HARD_HALF_DOCUMENT, Outcome, Score
from tasks.evaluate.vectors import NamedPair, System, cosine_blocks, ranked_pairs_of
from tasks.system_names import HALF_DOCUMENT, is_layer


@dataclass(frozen=True)
class HalfDocuments:
    """Query q asks with `first_halves[q]` and is answered by `second_halves[q]`.

    Attributes:
        first_halves: what is asked with.
        second_halves: what is ranked.
        num_test_documents: in the whole split.
        num_too_short: of them, too short for two halves.
        num_recurring_lines: distinct lines taken out because many documents share them.
        doc_ids: whose halves they are.
        titles: of the documents; their ids where the corpus names no column of titles.
        labels: of the documents; none where the corpus names no column of labels.
        task: the name that outcomes carry.
        num_masked_words: word types masked in one half, summed over documents.
    """

    first_halves: list[str]
    second_halves: list[str]
    num_test_documents: int
    num_too_short: int
    num_recurring_lines: int
    doc_ids: list[str]
    titles: list[str]
    labels: list[str] | None
    task: str = HALF_DOCUMENT
    num_masked_words: int = 0

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
    documents = corpus.documents("test")
    halves = halves_of(documents, num_test_documents, corpus.about, config)
    if halves.num_queries < 2:
        raise CorpusError(_too_small(halves.num_queries, num_test_documents, config.min_words))
    return halves


def halves_of(
    documents: Iterable[Document], num_documents: int, about: CorpusSummary, config: EvaluateConfig
) -> HalfDocuments:
    """Cut these documents, or a seeded sample of them, into halves; there may be none.

    Args:
        documents: test documents, or some of them.
        num_documents: how many those are.
        about: the corpus they are from.
    """
    long_enough = _long_enough(documents, config.min_words)
    sample = sample_documents(long_enough, max_documents=config.max_queries, seed=config.seed)
    texts = [document.text for document in sample.documents]
    recurring = recurring_lines(texts, num_texts=len(texts), frac=config.recurring_line_frac)
    stripped = (without_lines(text, recurring) for text in texts)
    cuts = [cut_in_halves(text, min_words=config.min_words) for text in stripped]
    halves = [cut for cut in cuts if cut is not None]
    asked = [
        document for document, cut in zip(sample.documents, cuts, strict=True) if cut is not None
    ]
    return HalfDocuments(
        first_halves=[first for first, _ in halves],
        second_halves=[second for _, second in halves],
        num_test_documents=num_documents,
        num_too_short=num_documents - sample.num_available + cuts.count(None),
        num_recurring_lines=len(recurring),
        doc_ids=[document.doc_id for document in asked],
        titles=[_title(document, about.title_column) for document in asked],
        labels=(
            [str(document.metadata[about.label_column]) for document in asked]
            if about.label_column
            else None
        ),
    )


def hard_half_documents(
    corpus: Corpus, halves: HalfDocuments, config: EvaluateConfig
) -> HalfDocuments:
    """The same halves, the rare words that both have masked in one of them.

    Names and numbers tie two halves together without anything being understood. What is left to
    go by are frequent words and what the rest means.

    Cost: one pass over the training text.
    """
    pairs = list(zip(halves.first_halves, halves.second_halves, strict=True))
    rare = rare_shared_words(pairs, corpus.texts("train"), document_frac=config.hard_document_frac)
    masked = [
        mask_in_one_half(pair, words, doc_id=doc_id, seed=config.seed)
        for pair, words, doc_id in zip(pairs, rare, halves.doc_ids, strict=True)
    ]
    return replace(
        halves,
        first_halves=[first for first, _ in masked],
        second_halves=[second for _, second in masked],
        task=HARD_HALF_DOCUMENT,
        num_masked_words=sum(map(len, rare)),
    )


@dataclass(frozen=True)
class HalfDocumentResults:
    """What one system did.

    Attributes:
        outcomes: of every query.
        geometry: of its dense vectors.
        vectors: of the halves, at the system's whole width.
    """

    outcomes: list[Outcome]
    geometry: list[Score]
    vectors: NamedPair


def half_document_results(system: System, halves: HalfDocuments) -> HalfDocumentResults:
    """Recall at 1 and 10 and the reciprocal rank of every query, and how the vectors are spread.

    Geometry (task `geometry`: alignment, uniformity, effective_rank) is of the whole halves only,
    not of masked ones, of no system whose vectors are sparse, of no other layer of the embedder,
    and not of two documents only.
    """
    pairs = list(_pairs(system, halves))
    has_geometry = halves.task == HALF_DOCUMENT and halves.num_queries > 2
    return HalfDocumentResults(
        outcomes=[outcome for pair in pairs for outcome in _outcomes(pair, halves.task)],
        geometry=[
            score
            for pair in pairs
            if has_geometry and not (sparse.issparse(pair.candidates) or is_layer(pair.system))
            for score in _geometry(pair)
        ],
        vectors=pairs[0],
    )


def _pairs(system: System, halves: HalfDocuments) -> Iterator[NamedPair]:
    asked = halves.first_halves, halves.second_halves
    if isinstance(system, LayeredEmbedder):
        return system.pairs_by_layer(*asked)
    return ranked_pairs_of(system, *asked)


def _outcomes(pair: NamedPair, task: str) -> Iterator[Outcome]:
    ranks_Q = matching_ranks(cosine_blocks(pair.queries, pair.candidates))
    for measure, values_Q in (
        ("recall_at_1", hits_at(ranks_Q, 1)),
        ("recall_at_10", hits_at(ranks_Q, 10)),
        ("mrr", reciprocal_ranks(ranks_Q)),
    ):
        yield Outcome(pair.system, task, measure, values_Q)


def _geometry(pair: NamedPair) -> Iterator[Score]:
    for measure, estimate in vars(spread(pair.queries, pair.candidates)).items():
        yield Score(pair.system, GEOMETRY, measure, estimate)


def _long_enough(documents: Iterable[Document], min_words: int) -> Iterator[Document]:
    for document in documents:
        if cut_in_halves(document.text, min_words=min_words) is not None:
            yield document


def _title(document: Document, column: str | None) -> str:
    value = document.metadata[column] if column else None
    return document.doc_id if value is None else str(value)


def _too_small(num_queries: int, num_test_documents: int, min_words: int) -> str:
    return (
        f"evaluate needs at least 2 test documents of {2 * min_words} words, the corpus has "
        f"{num_queries} among its {num_test_documents} test documents; give ingest more text or a "
        f"larger test split, or lower evaluate.min_words"
    )
