"""`plan --forecast` as a user has it: runs on parts of the text, then what they foretell."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.parser import parse
from model.errors import RequestError
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import QUICK, Chain, plain
from tests.flows.shell import Shell

pytestmark = [pytest.mark.slow, pytest.mark.long]

QUICKER = (
    *(*QUICK, "--forecast", "--evaluate.doc2vec-epochs", "1"),
    *("--pretrain.max-steps", "8", "--tune.max-steps", "2", "--evaluate.word2vec-epochs", "1"),
)
CHAIN = ["ingest", "vocab", "tokenize", "pretrain", "tune", "evaluate"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("forecast")
    corpus = write_jsonl(folder / "topics.jsonl", topic_documents(200))
    with Shell(plain()) as shell:
        yield Chain(corpus, folder / "workspace", shell=shell)


@pytest.fixture(scope="module")
def first(chain: Chain) -> dict[str, Any]:
    return chain.answer("plan", str(chain.corpus), *QUICKER)


def test_the_answer_holds_the_forecast_and_the_runs_behind_it(
    chain: Chain, first: dict[str, Any]
) -> None:
    assert first["shares"] == [0.125, 0.25, 0.5]
    assert {"corpusmith", "bag", "tfidf", "bm25", "lsa"} <= set(first["systems"])
    assert {row["system"] for row in first["forecast"]} == set(first["systems"])
    assert len(first["curve"]) == 3 * len(first["systems"])
    assert set(first["crossings"]) == set(first["systems"]) - {"corpusmith"}
    assert first["verdicts"][0].startswith("Learned from the whole text")
    assert list(first["artifacts"]) == ["forecast"]
    assert [list(run["artifacts"]) for run in first["runs"]] == [CHAIN] * 3
    assert "<svg" in Path(first["report"]).read_text("utf-8")
    assert pq.read_table(first["table"]).num_rows == 4 * len(first["systems"])


def test_parts_grow_and_what_is_measured_on_stays(first: dict[str, Any]) -> None:
    counts = [run["metrics"] for run in first["runs"]]
    num_train = [count["ingest/num_train_documents"] for count in counts]
    assert num_train[0] * 4 == pytest.approx(num_train[2], abs=4)
    assert num_train[1] * 2 == pytest.approx(num_train[2], abs=2)
    for name in ("ingest/num_test_documents", "ingest/num_validation_documents"):
        assert len({count[name] for count in counts}) == 1
    assert first["num_queries"] == counts[0]["evaluate/half_document_num_queries"]


def test_a_second_forecast_reuses_everything_and_is_shown(
    chain: Chain, first: dict[str, Any]
) -> None:
    done = chain.try_("plan", str(chain.corpus), *QUICKER)
    assert done.returncode == 0, done.stderr[-2000:]
    for sentence in first["verdicts"]:
        assert sentence in done.stdout
    assert "TF-IDF" in done.stdout
    assert first["report"] in done.stdout
    assert "pretraining begins" not in done.stderr
    assert "fitting" not in done.stderr
    assert not list(chain.workspace.glob("published/*"))


def test_too_little_text_is_one_line_that_says_what_to_do(chain: Chain, tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "few.jsonl", topic_documents(30))
    splits = ("--ingest.validation-frac", "0.2", "--ingest.test-frac", "0.3")
    done = replace(chain, shell=None).try_("plan", str(corpus), *QUICKER, *splits)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("corpusmith: plan --forecast, on 1/8 of the training text: ")
    assert "add documents" in last
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_the_option_nothing_starts(chain: Chain, tmp_path: Path) -> None:
    idle = Chain(chain.corpus, tmp_path / "idle")
    assert "stages" in idle.answer("plan", str(idle.corpus), *QUICK)
    assert not list(tmp_path.iterdir())


def test_a_forecast_has_no_why() -> None:
    assert parse(["plan", "--forecast"]).forecast
    with pytest.raises(RequestError, match="not allowed with"):
        parse(["plan", "--forecast", "--why"])
