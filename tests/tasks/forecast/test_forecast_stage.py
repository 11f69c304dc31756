"""From evaluations of parts of a text to scores on all of it, as table, JSON and page."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from model.errors import ArtifactError, CorpusError
from tasks.forecast.config import SHARES, ForecastConfig
from tasks.forecast.stage import FORECAST
from tasks.stage import Metrics
from tasks.system_names import EMBEDDER
from tests.tasks.chain import sealed
from tests.tasks.forecast.evaluations import SYSTEMS, evaluations, foretell

SYSTEMS_TOLD = [name for name in SYSTEMS if "_dim_" not in name and name != "layer_0"]


@dataclass
class Made:
    folder: Path
    metrics: Metrics

    @property
    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "forecast.json").read_text("utf-8"))
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.folder / "forecast.parquet").to_pylist()
        return rows

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text("utf-8")


def make(folder: Path, **how: Any) -> Made:
    return Made(folder / "out", foretell(folder / "out", evaluations(folder / "in", **how)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("forecast"))


def test_the_table_has_what_was_tried_and_what_is_foretold(made: Made) -> None:
    assert [(row["system"], row["share"], row["is_foretold"]) for row in made.rows] == [
        (system, share, share == 1) for system in SYSTEMS_TOLD for share in (*SHARES.values(), 1.0)
    ]
    for row in made.rows:
        assert set(row) == {"system", "share", "value", "low", "high", "n", "is_foretold"}
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert row["n"] == 300
    whole = {row["system"]: row for row in made.rows if row["is_foretold"]}
    for system in SYSTEMS_TOLD:
        assert whole[system]["low"] < SYSTEMS[system][0] < whole[system]["high"]


def test_the_answer_is_the_table_with_crossings_and_sentences(made: Made) -> None:
    answer = made.answer
    assert answer["systems"] == SYSTEMS_TOLD
    assert answer["shares"] == [0.125, 0.25, 0.5]
    assert (answer["measure"], answer["num_queries"]) == ("half_document_recall_at_1", 300)
    names = ("system", "share", "value", "low", "high", "n")
    tried = [row for row in made.rows if not row["is_foretold"]]
    assert answer["curve"] == [{name: row[name] for name in names} for row in tried]
    for row, told in zip(
        (row for row in made.rows if row["is_foretold"]), answer["forecast"], strict=True
    ):
        assert all(told[name] == row[name] for name in ("system", "value", "low", "high", "n"))
    verdicts = {row["system"]: row.get("verdict") for row in answer["forecast"]}
    assert verdicts == {
        EMBEDDER: None,
        "bag": "not told apart",
        "tfidf": "behind",
        "lsa": "not told apart",
        "word2vec": "ahead",
    }
    assert set(answer["crossings"]) == set(SYSTEMS_TOLD) - {EMBEDDER}
    assert answer["crossings"]["bag"] is None
    assert 1 < answer["crossings"]["tfidf"] < 8


def test_sentences_say_who_wins_and_where_lines_cross(made: Made) -> None:
    said = made.answer["verdicts"]
    score = r"0\.\d\d \(0\.\d\d to 0\.\d\d\)"
    patterns = [
        rf"Learned from the whole text, the embedder is foretold a recall@1 of {score}\.",
        rf"TF-IDF is likely to win on the whole text: {score} against {score}\.",
        rf"The embedder is likely to win over mean Word2Vec {score}\.",
        rf"Not distinguishable from the embedder: bag of its tokens {score}, LSA {score}\.",
        r"By their lines the embedder passes TF-IDF at about \d\.\d times the text\.",
    ]
    for pattern in patterns:
        assert any(re.fullmatch(pattern, sentence) for sentence in said), (pattern, said)


def test_a_baseline_that_overtakes_is_named_first(tmp_path: Path) -> None:
    systems = {EMBEDDER: (0.5, 0.0), "tfidf": (0.6, 0.9)}
    answer = make(tmp_path, systems=systems).answer
    assert answer["crossings"]["tfidf"] < 1
    [sentence] = [said for said in answer["verdicts"] if "passes" in said]
    assert sentence.startswith("By their lines TF-IDF passes the embedder at about 0.")
    assert sentence.endswith(" of the text.")


def test_few_documents_foretell_no_winner(tmp_path: Path) -> None:
    said = make(tmp_path, num_queries=20).answer["verdicts"]
    assert said[1:] == ["20 test documents are too few to foretell who wins."]


def test_metrics_are_what_is_foretold(made: Made) -> None:
    whole = {row["system"]: row for row in made.rows if row["is_foretold"]}
    name = "half_document_recall_at_1"
    assert made.metrics[name] == whole[EMBEDDER]["value"]
    assert made.metrics[f"{name}_low"] == whole[EMBEDDER]["low"]
    assert made.metrics[f"tfidf_{name}"] == whole["tfidf"]["value"]
    assert made.metrics["num_queries"] == 300


def test_the_page_shows_every_system_and_needs_no_network(made: Made) -> None:
    page = made.page
    for sentence in made.answer["verdicts"]:
        assert sentence in page.replace("&#39;", "'")
    for label in ("TF-IDF", "LSA", "mean Word2Vec", "bag of its tokens"):
        assert page.count(label) >= 3
    assert page.count("<svg") == 2
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", page)
    assert "<script" not in page
    assert "cross at" in page


def test_the_same_evaluations_write_the_same_bytes(made: Made, tmp_path: Path) -> None:
    again = make(tmp_path)
    for path in made.folder.iterdir():
        assert path.read_bytes() == (again.folder / path.name).read_bytes(), path.name


def test_only_common_documents_and_systems_count(tmp_path: Path) -> None:
    found = make(tmp_path, hidden=(range(40), range(30, 60), range(0)))
    assert {row["n"] for row in found.rows} == {240}


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    hidden = (range(150), range(150, 300), range(0))
    with pytest.raises(CorpusError, match="no test document in common"):
        make(tmp_path, hidden=hidden)


def test_damaged_and_foreign_evaluations_are_named(tmp_path: Path) -> None:
    inputs = evaluations(tmp_path / "in")
    place = inputs["evaluate/half"].file("outcomes.parquet")
    place.write_bytes(place.read_bytes()[:200])
    with pytest.raises(ArtifactError, match=r"outcomes\.parquet cannot be read.*run evaluate"):
        foretell(tmp_path / "a", inputs)
    others = evaluations(tmp_path / "others", systems={"tfidf": (0.7, 0.1)})
    with pytest.raises(ArtifactError, match="no answer of the embedder"):
        foretell(tmp_path / "b", others)
    place.unlink()
    with pytest.raises(ArtifactError, match=r"no file 'outcomes\.parquet'"):
        foretell(tmp_path / "c", inputs | {"evaluate/half": sealed(place.parent, "evaluate")})


def test_what_the_stage_reads_is_named_by_share() -> None:
    assert FORECAST.upstream == ("evaluate/eighth", "evaluate/quarter", "evaluate/half")
    assert list(SHARES.values()) == [1 / 8, 1 / 4, 1 / 2]
    assert ForecastConfig(seed=3).identity() == {"num_resamples": 1000, "seed": 3}
