"""The whole stage on a small corpus with small encoders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from model.errors import CorpusError
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.stage import EVALUATE
from tasks.stage import Metrics, StageContext
from tests.corpora import topic_documents
from tests.tasks.evaluate.folders import artifact, write_corpus, write_embedder, write_encoder

QUICK: dict[str, Any] = {
    "min_words": 5,
    "num_resamples": 100,
    "word2vec_dim": 16,
    "word2vec_epochs": 2,
    "device": "cpu",
}
SYSTEMS = ["corpusmith", "corpusmith_dim_8", "pretrained", "untrained", "tfidf", "word2vec"]
SCORE_COLUMNS = ["system", "task", "measure", "value", "low", "high", "n"]


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        raise AssertionError("final metrics are returned, not reported")

    def progress(self, done: int, total: int, unit: str) -> None:
        assert 0 < done <= total
        self.heard.append(f"{done}/{total} {unit}")

    def message(self, text: str) -> None:
        self.heard.append(text)

    def warning(self, text: str) -> None:
        raise AssertionError(text)


def documents(num: int = 150) -> list[dict[str, Any]]:
    splits = ["test", "train", "train"]
    return [
        {
            "doc_id": str(made["id"]),
            "text": made["text"],
            "split": splits[number % 3],
            "topic": made["topic"],
        }
        for number, made in enumerate(topic_documents(num))
    ]


def context(
    tmp_path: Path, made: list[dict[str, Any]], label_column: str | None = None, **settings: Any
) -> StageContext:
    corpus = write_corpus(tmp_path / "ingest", made, label_column=label_column)
    (tmp_path / "output").mkdir()
    return StageContext(
        config=EvaluateConfig(**(QUICK | settings)),
        inputs={
            "ingest": artifact(corpus, "ingest"),
            "pretrain": artifact(write_encoder(tmp_path / "pretrain"), "pretrain"),
            "tune": artifact(write_embedder(tmp_path / "tune"), "tune"),
        },
        output=tmp_path / "output",
        report=Listener(),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[StageContext, Metrics]:
    prepared = context(tmp_path_factory.mktemp("evaluate"), documents(), "topic")
    return prepared, EVALUATE.run(prepared)


def scores(prepared: StageContext) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(prepared.output / "scores.parquet").to_pylist()
    return rows


def test_every_system_on_every_measure(run: tuple[StageContext, Metrics]) -> None:
    table = pq.read_table(run[0].output / "scores.parquet")
    assert table.column_names == SCORE_COLUMNS
    measures = ["recall_at_1", "recall_at_10", "mrr"]
    expected = [(system, "half_document", measure) for system in SYSTEMS for measure in measures]
    expected += [(system, "classification", "accuracy") for system in SYSTEMS]
    found = [(row["system"], row["task"], row["measure"]) for row in table.to_pylist()]
    assert found == expected
    for row in table.to_pylist():
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert row["n"] == 50


def test_metrics_are_the_scores_under_flat_names(run: tuple[StageContext, Metrics]) -> None:
    values = {(r["system"], r["task"], r["measure"]): r["value"] for r in scores(run[0])}
    metrics = run[1]
    own = values["corpusmith", "half_document", "recall_at_1"]
    assert metrics["half_document_recall_at_1"] == own
    for system in SYSTEMS[1:]:
        mrr = values[system, "half_document", "mrr"]
        assert metrics[f"{system}_half_document_mrr"] == mrr
        accuracy = values[system, "classification", "accuracy"]
        assert metrics[f"{system}_classification_accuracy"] == accuracy
    assert metrics["half_document_num_queries"] == 50
    assert metrics["half_document_num_too_short"] == 0


def test_words_of_the_topic_help_and_nothing_is_above_certainty(
    run: tuple[StageContext, Metrics],
) -> None:
    metrics = run[1]
    chance = 1 / 50
    assert metrics["tfidf_half_document_recall_at_1"] > 3 * chance
    assert metrics["tfidf_classification_accuracy"] > 0.9
    assert metrics["tfidf_half_document_recall_at_10"] >= metrics["tfidf_half_document_mrr"]


def test_differences_are_those_of_the_scores(run: tuple[StageContext, Metrics]) -> None:
    values = {(r["system"], r["task"], r["measure"]): r["value"] for r in scores(run[0])}
    rows = pq.read_table(run[0].output / "differences.parquet").to_pylist()
    assert [row["baseline"] for row in rows if row["measure"] == "mrr"] == SYSTEMS[1:]
    for row in rows:
        key = (row["task"], row["measure"])
        expected = values["corpusmith", *key] - values[row["baseline"], *key]
        assert row["value"] == pytest.approx(expected)
        assert row["low"] <= row["value"] <= row["high"]


def test_the_report_says_who_wins_and_needs_no_network(run: tuple[StageContext, Metrics]) -> None:
    page = (run[0].output / "report.html").read_text("utf-8")
    assert "TF-IDF" in page
    assert "paired interval" in page
    assert "Classification by topic" in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert str(run[0].output) not in page


def test_progress_is_told(run: tuple[StageContext, Metrics]) -> None:
    report = run[0].report
    assert isinstance(report, Listener)
    assert "100/100 texts" in report.heard
    assert any("training documents" in line for line in report.heard)


def test_the_same_seed_writes_the_same_bytes(
    run: tuple[StageContext, Metrics], tmp_path: Path
) -> None:
    again = context(tmp_path, documents(), "topic")
    assert EVALUATE.run(again) == run[1]
    names = sorted(path.name for path in run[0].output.iterdir())
    assert names == ["differences.parquet", "report.html", "scores.parquet"]
    for name in names:
        assert (again.output / name).read_bytes() == (run[0].output / name).read_bytes()


def test_without_a_label_classification_is_skipped_and_says_so(tmp_path: Path) -> None:
    prepared = context(tmp_path, documents(60), max_queries=10)
    metrics = EVALUATE.run(prepared)
    assert not [name for name in metrics if "classification" in name]
    assert {row["n"] for row in scores(prepared)} == {10}
    page = (prepared.output / "report.html").read_text("utf-8")
    assert "no column was named as label" in page
    assert "seeded sample of 10" in page
    assert "too few documents to be told" in page


def test_a_test_split_without_a_query_is_refused_with_advice(tmp_path: Path) -> None:
    short = [document | {"text": "two words"} for document in documents(30)]
    with pytest.raises(CorpusError, match=r"at least 2 test documents of 10 words.*min_words"):
        EVALUATE.run(context(tmp_path, short))
