"""``corpusmith erase`` after a whole run that was allowed to quote: nothing is left anywhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tasks.tokens import TokenizedCorpus
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import Chain, plain
from tests.flows.shell import Shell
from tests.tasks.erasure.traces import Vector, traces

pytestmark = [pytest.mark.slow, pytest.mark.long]

QUOTING = ("--privacy.examples", "true")
PHRASE = "Ulrikafeldt Quentzmoor owes the harbour judge 48213 loaves of butter"
CANARY = f"{PHRASE}. " + " ".join(
    f"The {word} of Vyborgness was a ship with the verdict." for word in "abcdefgh"
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("erase")
    documents = topic_documents(300)
    documents.insert(7, {"id": "canary", "text": CANARY, "topic": "sea", "year": 1990})
    with Shell(plain()) as shell:
        yield Chain(
            write_jsonl(folder / "topics.jsonl", documents), folder / "workspace", shell=shell
        )


def row_of(chain: Chain, doc_id: str) -> Vector:
    files = chain.workspace / "published" / "embeddings" / "part-*.parquet"
    query = f"SELECT embedding FROM '{files}' WHERE doc_id = '{doc_id}'"
    return np.array(duckdb.sql(query).fetchall()[0][0], np.float32)


def ids_of(chain: Chain, answer: dict[str, Any]) -> list[int]:
    tokens = TokenizedCorpus(chain.workspace / answer["artifacts"]["tokenize"]["path"])
    for split in ("train", "validation", "test"):
        documents = tokens.documents(split)
        for number, name in enumerate(tokens.document_ids(split, range(len(documents)))):
            if name == "canary":
                return [int(token) for token in documents[number]][:40]
    raise AssertionError("the canary has no tokens")


@pytest.fixture(scope="module")
def first(chain: Chain) -> dict[str, Any]:
    return chain.run("run", *QUOTING)


@pytest.fixture(scope="module")
def sought(chain: Chain, first: dict[str, Any]) -> dict[str, Any]:
    """What must not be left."""
    return {
        "phrases": [PHRASE, "of Vyborgness was"],
        "token_ids": ids_of(chain, first),
        "vectors": [row_of(chain, "canary")],
    }


def test_a_dry_run_touches_nothing(chain: Chain, sought: dict[str, Any]) -> None:
    found = traces(chain.workspace, **sought)
    stages = {line.split("/")[1] for line in found if line.startswith("artifacts")}
    assert {"ingest", "tokenize", "export"} <= stages
    assert {"guesses.html", "state.json", "report.html"} <= {
        Path(name).name for name in quoting(chain)
    }
    assert not chain.answer("erase", "canary")["erased"]
    assert "nothing was touched" in chain.try_("erase", "canary").stdout
    assert chain.try_("erase", "nobody").returncode == 2
    assert chain.try_("erase").returncode == 2
    assert traces(chain.workspace, **sought) == found


def test_a_canary_is_nowhere_after_its_erasure(chain: Chain, sought: dict[str, Any]) -> None:
    receipt = chain.answer("erase", "canary", "--yes", "--reason", "a request")
    assert receipt["tracker"]["problem"] is None
    assert receipt["tracker"]["num_pages"] >= 5
    assert receipt["problems"] == []
    assert traces(chain.workspace, **sought) == []
    assert json.loads(Path(receipt["receipt"]).read_text())["doc_ids"] == ["canary"]
    assert quoting(chain) == []


def quoting(chain: Chain) -> list[str]:
    """Files of words that quote any document at all: what erases one must know of each."""
    texts = [json.loads(line)["text"].split() for line in chain.corpus.read_text().splitlines()]
    phrases = [" ".join(words[at : at + 6]) for words in texts for at in range(0, 40, 8)]
    phrases = [phrase for phrase in phrases if len(phrase) > 20]
    files = [path for path in chain.workspace.rglob("*.*") if path.suffix in (".json", ".html")]
    return [str(path) for path in files if any(each in path.read_text() for each in phrases)]


def test_what_is_left_still_serves(chain: Chain, first: dict[str, Any]) -> None:
    verified = chain.answer("verify")
    stages = {each["path"].split("/")[1] for each in verified["erased"]}
    assert {"ingest", "vocab", "tokenize", "export"} <= stages
    hits = chain.answer("search", PHRASE, "-k", "400")["hits"]
    assert len(hits) == 300
    assert "canary" not in {hit["doc_id"] for hit in hits}
    assert chain.answer("release", "list")["current"] == 1
    status = chain.answer("status")
    learned = {each["stage"] for each in status["artifacts"] if each.get("learned_from_erased")}
    assert learned == {"vocab", "pretrain", "tune"}  # the canary is drawn for training
    export = first["artifacts"]["export"]["path"]
    links = chain.answer("lineage", export)["chain"]
    assert links[0]["erased"]["num_documents"] == 1
    card = chain.workspace / "runs" / first["run_id"] / "model_card.md"
    assert "erased since" in card.read_text()


def test_the_same_files_give_a_corpus_without_it(chain: Chain, sought: dict[str, Any]) -> None:
    second = chain.run("export", *QUOTING)
    assert not second["artifacts"]["ingest"]["reused"]
    assert second["metrics"]["ingest/num_dropped_erased"] == 1
    assert second["metrics"]["export/num_documents"] == 300
    assert traces(chain.workspace, **sought) == []
    third = chain.run("export", *QUOTING)
    assert all(made["reused"] for made in third["artifacts"].values())
    assert chain.answer("verify")["problems"] == []
