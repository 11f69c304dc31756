"""The whole stage on a small corpus with small encoders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from model.errors import CorpusError, RequestError
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.stage import EVALUATE
from tasks.stage import Metrics, StageContext
from tests.corpora import topic_documents
from tests.tasks.evaluate.folders import (
    artifact,
    write_corpus,
    write_embedder,
    write_encoder,
    write_ledger,
)
from tests.tasks.evaluate.other_runs import other_run

QUICK: dict[str, Any] = {
    "min_words": 5,
    "num_resamples": 100,
    "word2vec_dim": 16,
    "word2vec_epochs": 2,
    "lsa_dim": 8,
    "doc2vec_dim": 8,
    "doc2vec_epochs": 2,
    "labels_per_class": (4, 1000),
    "device": "cpu",
}
ENCODERS = ["corpusmith", "corpusmith_dim_16", "corpusmith_dim_8", "bag", "pretrained", "untrained"]
OTHER_LAYERS = ["layer_0"]  # of the embedder, whose only layer is its own
SYSTEMS = [*ENCODERS, "tfidf", "bm25", "lsa", "word2vec", "sif", "doc2vec"]
SPARSE = {"tfidf", "bm25"}
RANKED = [*SYSTEMS[:3], *OTHER_LAYERS, *SYSTEMS[3:]]  # who is asked for halves
RANKING = ["recall_at_1", "recall_at_10", "mrr"]
LABELLED = ["accuracy", "accuracy_at_4_labels", "knn_accuracy"]
GEOMETRY = ["alignment", "uniformity", "effective_rank"]
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
    asked = {
        "half_document": RANKING,
        "hard_half_document": RANKING,
        "classification": LABELLED,
        "geometry": GEOMETRY,
    }
    found = [(row["system"], row["task"], row["measure"]) for row in table.to_pylist()]
    assert found == [
        (system, task, measure)
        for task, measures in asked.items()
        for system in (RANKED if measures is RANKING else SYSTEMS)
        if task != "geometry" or system not in SPARSE
        for measure in measures
    ]
    for row in table.to_pylist():
        assert row["low"] <= row["value"] <= row["high"]
        assert row["task"] == "geometry" or 0 <= row["low"] <= row["high"] <= 1
        assert row["n"] == 50


def test_every_score_can_be_made_again_from_its_outcomes(
    run: tuple[StageContext, Metrics],
) -> None:
    values = {(r["system"], r["task"], r["measure"]): r["value"] for r in scores(run[0])}
    outcomes = pq.read_table(run[0].output / "outcomes.parquet")
    means = outcomes.group_by(["system", "task", "measure"]).aggregate([("value", "mean")])
    assert means.num_rows == 2 * len(RANKING) * len(RANKED)
    for row in means.to_pylist():
        key = (row["system"], row["task"], row["measure"])
        assert row["value_mean"] == pytest.approx(values[key])
    assert len(set(outcomes["doc_id"].to_pylist())) == 50


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
    assert [row["baseline"] for row in rows if row["measure"] == "mrr"] == RANKED[1:] * 2
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
    assert "The embedder reads its vectors off its one layer." in page
    assert "What each layer is worth" in page
    assert "At its best and at its worst" in page
    assert page.count("<title>") == 51  # the page's own and one for each document of the map
    assert "<script" not in page
    assert 'src="http' not in page
    assert str(run[0].output) not in page


def test_the_overview_quotes_no_document(run: tuple[StageContext, Metrics]) -> None:
    overview = (run[0].output / "overview.html").read_text("utf-8")
    report = (run[0].output / "report.html").read_text("utf-8")
    tested = [str(made["text"]) for made in documents() if made["split"] == "test"]
    quoted = [" ".join(text.split())[:20] for text in tested]
    assert all(text in report for text in quoted)
    assert not any(text in overview for text in quoted)
    assert "A map of the test documents" in overview


def test_judged_pairs_and_queries_are_asked_of_every_system(tmp_path: Path) -> None:
    made = documents(60)
    texts = {made[0]["topic"]: made[0]["text"]} | {each["topic"]: each["text"] for each in made}
    names = list(texts)
    pairs = [
        {"text_a": texts[a], "text_b": f"{texts[b]} again", "similarity": float(a == b)}
        for a in names
        for b in names
    ]
    judged = [{"query": each["text"][:60], "doc_id": each["doc_id"]} for each in made[:5]]
    files = {"similarity_pairs": pairs, "relevance": judged}
    settings = {}
    for name, rows in files.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        settings[name] = str(path)
    prepared = context(tmp_path, made, **settings)
    write_ledger(prepared.inputs["ingest"].path, [each["doc_id"] for each in made])
    metrics = EVALUATE.run(prepared)
    assert metrics["tfidf_similarity_pairs_spearman"] > 0.5
    assert metrics["tfidf_relevance_recall_at_10"] > 0.5
    assert {"similarity_pairs_spearman", "relevance_ndcg_at_10"} <= metrics.keys()
    page = (prepared.output / "report.html").read_text("utf-8")
    assert "Pairs that people judged" in page
    assert "the intervals come from resampling texts" in page
    assert "Queries with known answers" in page


def test_the_users_files_are_part_of_the_stages_identity(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    config = EvaluateConfig(similarity_pairs=str(path))
    assert EVALUATE.sources is not None
    assert EVALUATE.sources(EvaluateConfig()) is None
    with pytest.raises(RequestError, match=r"evaluate\.similarity_pairs: .*cannot be read"):
        EVALUATE.sources(config)
    path.write_text("one")
    first = EVALUATE.sources(config)
    path.write_text("other")
    assert EVALUATE.sources(config) != first
    moved = path.rename(tmp_path / "moved.csv")
    moved.write_text("one")
    assert EVALUATE.sources(EvaluateConfig(similarity_pairs=str(moved))) == first


def test_other_embedders_are_part_of_the_identity_by_contents_and_where_none_is_named_nothing(
    tmp_path: Path,
) -> None:
    corpus, embedder = other_run(tmp_path / "there", documents(30))
    assert EVALUATE.sources is not None
    config = EvaluateConfig(compare_with=str(embedder.path))
    assert config.identity() == EvaluateConfig().identity()
    first = EVALUATE.sources(config)
    assert first == {
        "evaluate.compare_with": {
            f"other_{embedder.ref.input_id[:8]}": {
                "embedder": embedder.ref.content_id,
                "corpus": corpus.ref.content_id,
            }
        }
    }
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    moved = EvaluateConfig(compare_with=[str(tmp_path / "elsewhere" / embedder.ref.path)])
    assert EVALUATE.sources(moved) == first
    with pytest.raises(RequestError, match=r"evaluate\.compare_with: .* is no folder"):
        EVALUATE.sources(config)


def test_another_embedder_is_set_beside_ours_and_all_else_stays(
    run: tuple[StageContext, Metrics], tmp_path: Path
) -> None:
    others = [made | {"split": "train"} for made in documents()[:30]] + documents()[30:]
    _, other = other_run(tmp_path / "there", others, seed=3)
    name = f"other_{other.ref.input_id[:8]}"
    prepared = context(tmp_path, documents(), "topic", compare_with=str(other.path))
    metrics = EVALUATE.run(prepared)
    for file in ("scores.parquet", "outcomes.parquet"):
        assert (prepared.output / file).read_bytes() == (run[0].output / file).read_bytes()
    assert {key: metrics[key] for key in run[1]} == run[1]
    assert metrics[f"{name}_num_queries"] == 40
    assert metrics[f"{name}_num_learned"] == 10
    before, after = (
        pq.read_table(each.output / "differences.parquet").to_pylist()
        for each in (run[0], prepared)
    )
    assert after[: len(before)] == before
    assert [(row["baseline"], row["task"], row["measure"]) for row in after[len(before) :]] == [
        (name, task, measure)
        for task in ("half_document", "hard_half_document")
        for measure in RANKING
    ]
    assert {row["n"] for row in after[len(before) :]} == {40}
    for page in ("report.html", "overview.html"):
        text = (prepared.output / page).read_text("utf-8")
        assert "40 common test documents; 10 more are known to the other from training" in text
        assert "the embedder is better by" in text or "not distinguishable" in text
        assert str(tmp_path) not in text


def test_progress_is_told(run: tuple[StageContext, Metrics]) -> None:
    report = run[0].report
    assert isinstance(report, Listener)
    assert "50/50 texts" in report.heard
    assert any("training documents" in line for line in report.heard)


def test_the_same_seed_writes_the_same_bytes(
    run: tuple[StageContext, Metrics], tmp_path: Path
) -> None:
    again = context(tmp_path, documents(), "topic")
    assert EVALUATE.run(again) == run[1]
    names = sorted(path.name for path in run[0].output.iterdir())
    assert names == [
        "differences.parquet",
        "outcomes.parquet",
        "overview.html",
        "report.html",
        "scores.parquet",
    ]
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
