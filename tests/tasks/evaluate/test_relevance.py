"""Queries with judged documents: what is found in the whole corpus, against a plain ranking."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.errors import ArtifactError, CorpusError, RequestError
from tasks.corpus import Corpus
from tasks.evaluate import relevance
from tasks.evaluate.relevance import NUM_BEST, _Best, read_relevance, relevance_outcomes
from tests.tasks.evaluate.folders import write_corpus
from tests.tasks.evaluate.systems import Blind, Letters, Shouting, SparseLetters

TEXTS = {
    "a0": "aaaa", "a1": "aaab", "b0": "bbbb", "b1": "bbbc", "c0": "cccc", "c1": "ccca",
    **{f"h{number}": "h" * number + "g" for number in range(1, 20)},
}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    splits = ("train", "validation", "test")
    documents = [
        {"doc_id": doc_id, "text": text, "split": splits[number % 3]}
        for number, (doc_id, text) in enumerate(TEXTS.items())
    ]
    folder = write_corpus(tmp_path / "ingest", documents, documents_per_shard=4)
    kept = [(doc_id, "kept", None) for doc_id in TEXTS]
    rows = [*kept, ("a0 again", "duplicate_of", "a0"), ("bad", "dropped", None)]
    names = ("doc_id", "status", "kept_doc_id")
    ledger = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    pq.write_table(ledger, folder / "ledger.parquet", write_page_checksum=True)
    return Corpus(folder)


def write(corpus: Corpus, rows: list[dict[str, Any]]) -> str:
    path = corpus.folder.parent / "judged.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def row(query: str, doc_id: str, **grade: Any) -> dict[str, Any]:
    return {"query": query, "doc_id": doc_id, **grade}


def values(system: Any, corpus: Corpus, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    judged = read_relevance(write(corpus, rows), corpus)
    outcomes = list(relevance_outcomes(system, judged, corpus))
    assert {outcome.task for outcome in outcomes} == {"relevance"}
    return {f"{o.system} {o.measure}": o.values_Q.tolist() for o in outcomes}


def test_what_answers_is_found_in_any_split(corpus: Corpus) -> None:
    rows = [row("a", "a0"), row("a", "a1"), row("b", "b1"), row("hg", "h1"), row("hg", "c0")]
    for system in (Letters(), SparseLetters()):
        found = values(system, corpus, rows)
        assert found[f"{system.name} recall_at_10"] == [1, 1, 0.5]
        whole = 1 + 1 / math.log2(3)
        expected = [1, 1 / math.log2(3), 1 / whole]  # b0 is nearer to "b" than b1
        assert found[f"{system.name} ndcg_at_10"] == pytest.approx(expected)


def test_grades_weigh_and_a_twin_counts_as_the_kept_document(corpus: Corpus) -> None:
    rows = [
        row("a", "a0 again", relevance=1),
        row("a", "a0", relevance=0),
        row("a", "a1", relevance="3"),
        row("a", "c0", relevance=0),
    ]
    found = values(Letters(), corpus, rows)
    expected = (1 + 7 / math.log2(3)) / (7 + 1 / math.log2(3))
    assert found["letters ndcg_at_10"] == pytest.approx([expected])
    assert found["letters recall_at_10"] == [1]


def test_blocks_of_any_size_and_widths_give_the_same(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row("ab", "a1"), row("bc", "c1"), row("hhhg", "h3"), row("hhhg", "h12")]
    whole = values(Letters(cut_dims=(2,)), corpus, rows)
    assert list(whole) == [
        f"{name} {measure}_at_10"
        for name in ("letters", "letters_dim_2")
        for measure in ("recall", "ndcg")
    ]
    monkeypatch.setattr(relevance, "_CANDIDATES_AT_ONCE", 3)
    monkeypatch.setattr("tasks.evaluate.vectors._BLOCK_BYTES", 4 * 3 * 2)
    assert values(Letters(cut_dims=(2,)), corpus, rows) == whole


def test_who_cannot_tell_documents_apart_finds_nothing(corpus: Corpus) -> None:
    found = values(Blind(), corpus, [row("a", "a0"), row("b", "h19")])
    assert found == {"blind recall_at_10": [0, 0], "blind ndcg_at_10": [0, 0]}


def test_queries_are_asked_as_the_system_asks_them(corpus: Corpus) -> None:
    assert values(Shouting(), corpus, [row("AAAB", "a1")])["shouting ndcg_at_10"] == [1]


def test_queries_without_an_answer_are_left_out_and_counted(corpus: Corpus) -> None:
    rows = [row("no", "a0", relevance=0), row("a", "a0", relevance=1)]
    judged = read_relevance(write(corpus, rows), corpus)
    assert (judged.queries, judged.num_unanswered, judged.num_candidates) == (["a"], 1, len(TEXTS))
    with pytest.raises(RequestError, match="calls no document relevant"):
        read_relevance(write(corpus, rows[:1]), corpus)


def test_documents_that_are_not_there_are_counted_and_named(corpus: Corpus) -> None:
    rows = [row("a", "a0"), row("a", "bad"), row("b", "nowhere")]
    complaint = r"evaluate.relevance: .*judged.jsonl.* names 2 of 3 documents .* first is 'bad'"
    with pytest.raises(RequestError, match=complaint):
        read_relevance(write(corpus, rows), corpus)


@pytest.mark.parametrize("grade", [-1, 21, "high", None])
def test_odd_grades_are_refused(corpus: Corpus, grade: Any) -> None:
    with pytest.raises(RequestError, match="row 1: relevance is"):
        read_relevance(write(corpus, [row("a", "a0", relevance=grade)]), corpus)


def test_a_corpus_too_large_to_rank_and_a_lost_ledger_are_errors(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(corpus, [row("a", "a0")])
    (corpus.folder / "ledger.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"ledger.parquet cannot be read.*run ingest again"):
        read_relevance(path, corpus)
    monkeypatch.setattr(relevance, "MAX_CANDIDATES", 5)
    with pytest.raises(CorpusError, match="has 25, more than 5"):
        read_relevance(path, corpus)


@settings(deadline=None)
@given(
    arrays(np.float32, (2, 25), elements=st.integers(-2, 2).map(float)),
    arrays(np.float64, (2, 25), elements=st.integers(0, 2).map(float)),
    st.integers(1, 25),
)
def test_the_best_are_those_of_a_plain_ranking_however_they_come(
    similarity: np.ndarray, grades: np.ndarray, num_at_once: int
) -> None:
    best = _Best(2)
    for start in range(0, 25, num_at_once):
        part = slice(start, start + num_at_once)
        best.take(iter(similarity[:, None, part]), grades[:, part])
    expected = [
        [grade for _, grade in sorted(zip(-row, graded, strict=True))][:NUM_BEST]
        for row, graded in zip(similarity, grades, strict=True)
    ]
    assert best.relevance_QK.tolist() == expected
