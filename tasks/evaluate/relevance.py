"""Queries with the documents that answer them: does a system find those in the whole corpus?

Shape letters: Q queries, C candidates, K best of them, J judged of them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import ArtifactError, CorpusError
from model.retrieval import Counts, Floats, normalised_gain, recall_of_relevant
from tasks.corpus import Corpus
from tasks.evaluate.judged_files import JudgedFile, JudgedRow
from tasks.evaluate.scores import RELEVANCE, Outcome
from tasks.evaluate.vectors import System, Vectors, cosine_blocks, ranked_pairs_of

MAX_CANDIDATES = 200_000  # every system embeds them all
NUM_BEST = 10

_MAX_RELEVANCE = 20  # gains double with each grade
_CANDIDATES_AT_ONCE = 1024

Judgements = dict[str, dict[int, float]]


@dataclass(frozen=True)
class JudgedQueries:
    """Queries that at least one document of the corpus answers.

    Attributes:
        queries: their texts, in the order of the file.
        relevance: by kept document's id and query's number, above 0; documents that are not there
            answer nothing.
        num_unanswered: queries of the file that are left out, since all their documents are judged
            not relevant.
        num_candidates: documents that are ranked for each query: all that the corpus kept.
    """

    queries: list[str]
    relevance: Judgements
    num_unanswered: int
    num_candidates: int


def read_relevance(path: str, corpus: Corpus) -> JudgedQueries:
    """The judged queries of a file with the columns query, doc_id and, optionally, relevance.

    Without the column relevance every row means relevant (1). A document that ingest found to be a
    duplicate counts as the twin it kept; of several judgements of one document the highest counts.

    Raises:
        RequestError: the file is missing or damaged, lacks a column, holds a value of another kind,
            names documents that the corpus does not have, or has no relevant document at all.
        CorpusError: the corpus has more than `MAX_CANDIDATES` documents.
        ArtifactError: the ledger is damaged.
    """
    file = JudgedFile(Path(path), "evaluate.relevance")
    num_candidates = corpus.about.num_kept
    if num_candidates > MAX_CANDIDATES:
        raise CorpusError(
            f"evaluate.relevance ranks all documents and the corpus has {num_candidates:,}, more "
            f"than {MAX_CANDIDATES:,}: leave the setting out, or judge on a smaller corpus"
        )
    judged: dict[str, dict[str, float]] = {}
    for row in file.rows(("query", "doc_id")):
        of_query = judged.setdefault(row.text("query"), {})
        doc_id = row.name("doc_id")
        of_query[doc_id] = max(_relevance_of(row), of_query.get(doc_id, 0.0))
    kept_ids = _kept_ids(corpus, judged, file)
    answered = {query: of_query for query, of_query in judged.items() if any(of_query.values())}
    if not answered:
        raise file.complaint("column relevance calls no document relevant: give some above 0")
    return JudgedQueries(
        list(answered),
        _by_document(list(answered.values()), kept_ids),
        len(judged) - len(answered),
        num_candidates,
    )


def relevance_outcomes(system: System, judged: JudgedQueries, corpus: Corpus) -> Iterator[Outcome]:
    """Recall at 10 and nDCG at 10 of every query.

    All kept documents of the corpus are ranked, whatever their split: what is asked of search.
    Where similarities are equal, the less relevant document goes first, so that a system that
    cannot tell documents apart is not lucky. Of more than ten relevant documents, ten cannot all
    be found: recall is of all of them.

    Cost: embeds the corpus once, a block of documents at a time; memory of one block and of the
    ten best of each query.
    """
    judged_QJ = _judged_relevance(judged)
    asked = _AskedOnce(system, judged.queries)
    best: dict[str, _Best] = defaultdict(lambda: _Best(len(judged.queries)))
    for doc_ids, texts in _candidate_blocks(corpus):
        relevance_QC = _block_relevance(judged, doc_ids)
        for pair in ranked_pairs_of(asked, judged.queries, texts):
            best[pair.system].take(cosine_blocks(pair.queries, pair.candidates), relevance_QC)
    for name, found in best.items():
        recall_Q = recall_of_relevant(found.relevance_QK, (judged_QJ > 0).sum(axis=1))
        gain_Q = normalised_gain(found.relevance_QK, judged_QJ)
        yield Outcome(name, RELEVANCE, f"recall_at_{NUM_BEST}", recall_Q)
        yield Outcome(name, RELEVANCE, f"ndcg_at_{NUM_BEST}", gain_Q)


class _AskedOnce:
    """A system that has the vectors of its queries already."""

    def __init__(self, system: System, queries: Sequence[str]) -> None:
        self.name = system.name
        self.cut_dims = system.cut_dims
        self.vectors = system.vectors
        self._asked = system.query_vectors(queries)

    def query_vectors(self, texts: Sequence[str]) -> Vectors:
        assert len(texts) == self._asked.shape[0]
        return self._asked


class _Best:
    """The relevance of each query's best candidates so far, the best first."""

    def __init__(self, num_queries: int) -> None:
        self._similarity_QK = np.full((num_queries, NUM_BEST), -np.inf, dtype=np.float32)
        self.relevance_QK = np.zeros((num_queries, NUM_BEST))

    def take(self, blocks: Iterator[Floats], relevance_QC: Floats) -> None:
        """Look at more candidates, their similarities in blocks of query rows."""
        start = 0
        for block in blocks:
            rows = slice(start, start + len(block))
            similarity = np.concatenate(
                [self._similarity_QK[rows], np.nan_to_num(block, nan=-np.inf)], axis=1
            )
            relevance = np.concatenate([self.relevance_QK[rows], relevance_QC[rows]], axis=1)
            best_QK = _best_candidates(similarity, relevance)
            self._similarity_QK[rows] = np.take_along_axis(similarity, best_QK, axis=1)
            self.relevance_QK[rows] = np.take_along_axis(relevance, best_QK, axis=1)
            start += len(block)


def _best_candidates(similarity_QC: Floats, relevance_QC: Floats) -> Counts:
    """Numbers of the best candidates [Q, K]: by similarity, then the less relevant first."""
    thresholds_Q1 = np.partition(similarity_QC, -NUM_BEST, axis=1)[:, -NUM_BEST, None]
    rows, columns = np.nonzero(similarity_QC >= thresholds_Q1)  # at least K of each row
    order = np.lexsort((relevance_QC[rows, columns], -similarity_QC[rows, columns], rows))
    starts_Q = np.searchsorted(rows, np.arange(len(similarity_QC)))
    best_QK: Counts = columns[order[starts_Q[:, None] + np.arange(NUM_BEST)]]
    return best_QK


def _candidate_blocks(corpus: Corpus) -> Iterator[tuple[list[str], list[str]]]:
    documents = (
        row
        for batch in corpus.batches(["doc_id", "text"])
        for row in zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True)
    )
    while block := list(islice(documents, _CANDIDATES_AT_ONCE)):
        doc_ids, texts = zip(*block, strict=True)
        yield list(doc_ids), list(texts)


def _block_relevance(judged: JudgedQueries, doc_ids: Sequence[str]) -> Floats:
    relevance_QC = np.zeros((len(judged.queries), len(doc_ids)))
    for column, doc_id in enumerate(doc_ids):
        for query, relevance in judged.relevance.get(doc_id, {}).items():
            relevance_QC[query, column] = relevance
    return relevance_QC


def _judged_relevance(judged: JudgedQueries) -> Floats:
    """Relevance of each query's relevant documents [Q, J], 0 where it has fewer than others."""
    of_query: list[list[float]] = [[] for _ in judged.queries]
    for relevances in judged.relevance.values():
        for query, relevance in relevances.items():
            of_query[query].append(relevance)
    judged_QJ = np.zeros((len(of_query), max(map(len, of_query))))
    for query, relevances_J in enumerate(of_query):
        judged_QJ[query, : len(relevances_J)] = relevances_J
    return judged_QJ


def _relevance_of(row: JudgedRow) -> float:
    if "relevance" not in row.values:
        return 1.0
    relevance = row.number_in("relevance")
    if not 0 <= relevance <= _MAX_RELEVANCE:
        raise row.file.complaint(
            f"row {row.number}: relevance is {relevance:g}: give grades from 0 (not relevant) to "
            f"{_MAX_RELEVANCE}"
        )
    return relevance


def _by_document(of_queries: Sequence[dict[str, float]], kept_ids: dict[str, str]) -> Judgements:
    relevance: Judgements = defaultdict(dict)
    for query, of_query in enumerate(of_queries):
        for doc_id, grade in of_query.items():
            if grade > 0:
                of_document = relevance[kept_ids[doc_id]]
                of_document[query] = max(grade, of_document.get(query, 0.0))
    return dict(relevance)


def _kept_ids(
    corpus: Corpus, judged: dict[str, dict[str, float]], file: JudgedFile
) -> dict[str, str]:
    """By judged id the id of the document that the corpus kept for it."""
    ids = list(dict.fromkeys(doc_id for of_query in judged.values() for doc_id in of_query))
    kept = _read_ledger(corpus.folder / "ledger.parquet", ids)
    absent = [doc_id for doc_id in ids if doc_id not in kept]
    if absent:
        raise file.complaint(
            f"column doc_id names {len(absent)} of {len(ids)} documents that the corpus does not "
            f"have (or dropped), the first is {absent[0]!r}: use the ids in ledger.parquet"
        )
    return kept


def _read_ledger(path: Path, ids: Sequence[str]) -> dict[str, str]:
    wanted = pc.field("doc_id").isin(pa.array(ids, pa.string()))
    try:
        rows = pq.read_table(
            path,
            columns=["doc_id", "status", "kept_doc_id"],
            filters=wanted,
            page_checksum_verification=True,
        ).to_pylist()
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise ArtifactError(f"{path} cannot be read ({first_line}): run ingest again") from None
    own = {row["doc_id"]: row["doc_id"] for row in rows if row["status"] == "kept"}
    twins = {row["doc_id"]: row["kept_doc_id"] for row in rows if row["status"] == "duplicate_of"}
    return twins | own
