"""search, explain and embed on a small release, as a person and as a program see them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.cli import main
from tasks.release.release import Release, render_release
from tasks.store.artifact import ArtifactRef
from tasks.store.manifest import read_manifest
from tasks.store.workspace import Workspace
from tests.tasks.evaluate.folders import seal
from tests.tasks.test_search import Published, publish

Capture = pytest.CaptureFixture[str]


class Released:
    """A workspace with a release, and the command line in this process."""

    def __init__(self, workspace: Path, published: Published) -> None:
        self.workspace = workspace
        self.rows = published.rows

    def __call__(self, *arguments: str) -> int:
        return main([*arguments, "--workspace", str(self.workspace)])

    def answer(self, capfd: Capture, *arguments: str) -> dict[str, Any]:
        assert self(*arguments, "--json") == 0, capfd.readouterr().err
        [line] = capfd.readouterr().out.splitlines()
        parsed: dict[str, Any] = json.loads(line)
        return parsed


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    workspace = Workspace.open(tmp_path_factory.mktemp("released") / "workspace")
    published = publish(tmp_path_factory.mktemp("made"))
    refs = {}
    folders = {"ingest": published.corpus, "tune": published.embedder, "export": published.dataset}
    for stage, folder in folders.items():
        if stage != "tune":
            seal(folder, stage)
        input_id = f"{len(refs):032x}"
        path = f"artifacts/{stage}/{input_id}"
        (workspace.path / path).parent.mkdir(parents=True, exist_ok=True)
        folder.rename(workspace.path / path)
        content_id = read_manifest(workspace.path / path).content_id
        refs[stage] = ArtifactRef(stage=stage, input_id=input_id, content_id=content_id, path=path)
    release = Release(
        id=1,
        embedder=refs["tune"],
        export=refs["export"],
        corpus=refs["ingest"],
        published_at="2024-01-01T00:00:00Z",
    )
    workspace.current_release.parent.mkdir(exist_ok=True)
    workspace.current_release.write_bytes(render_release(release))
    return Released(workspace.path, published)


def test_words_and_conditions(released: Released, capfd: Capture) -> None:
    conditions = ("--where", "year >= 1995", "--where", "split = train")
    answer = released.answer(capfd, "search", "the ship", "-k", "4", *conditions)
    assert (answer["query"], answer["like"]) == ("the ship", None)
    assert answer["where"] == ["year >= 1995", "split = train"]
    assert len(answer["hits"]) == 4
    assert all(hit["columns"]["year"] >= 1995 for hit in answer["hits"])
    assert all(hit["text"] for hit in answer["hits"])


def test_a_document_and_what_is_like_it(released: Released, capfd: Capture) -> None:
    first = released.rows[0]["doc_id"]
    answer = released.answer(capfd, "search", "--like", "twin", "-k", "3")
    assert (answer["query"], answer["like"]) == (None, "twin")
    found = [hit["doc_id"] for hit in answer["hits"]]
    assert len(found) == 3
    assert not {"twin", first} & set(found)
    assert released("search", "--like", "twin", "-k", "3") == 0
    out = capfd.readouterr().out
    assert "search like twin" in out
    assert out.count("0.") >= 3


def test_explain_adds_up(released: Released, capfd: Capture) -> None:
    left, right = released.rows[0]["doc_id"], released.rows[9]["doc_id"]
    answer = released.answer(capfd, "explain", left, right, "-k", "3")
    shown = sum(pair["term"] for pair in answer["pairs"])
    total = shown + answer["special_tokens"] + answer["other_pairs"]
    assert total == pytest.approx(answer["dataset_cosine"], abs=1e-5)
    for side in ("left_words", "right_words"):
        assert sum(word["term"] for word in answer[side]) == pytest.approx(total, abs=1e-5)
    assert (answer["left"], answer["right"], len(answer["pairs"])) == (left, right, 9)


def test_what_explain_shows_adds_up_too(released: Released, capfd: Capture) -> None:
    left, right = released.rows[0]["doc_id"], released.rows[9]["doc_id"]
    assert released("explain", left, right, "-k", "2") == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    end = next(number for number, line in enumerate(lines) if line[0] == "cosine" and number)
    terms = [float(line[-1]) for line in lines[2 : end + 1]]
    assert sum(terms[:-1]) == pytest.approx(terms[-1], abs=5e-5)
    assert "[CLS] and [SEP]" in [" ".join(line[:3]) for line in lines]


def test_vectors_are_printed_or_written(released: Released, capfd: Capture, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "a ship"}\n{"id": 2, "text": "é"}\n')
    files = ("embed", str(tmp_path / "a.jsonl"), "--dim", "16")
    answer = released.answer(capfd, *files)
    assert answer["num_documents"] == 2
    assert [len(row["embedding"]) for row in answer["documents"]] == [16, 16]
    assert released(*files) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == answer["documents"]
    written = released.answer(capfd, *files, "--output", str(tmp_path / "a.parquet"))
    assert (written["num_documents"], written["release"]) == (2, 1)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["embedding"].to_pylist() == [row["embedding"] for row in answer["documents"]]


def test_a_terminal_gets_a_table(
    released: Released, capfd: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("a ship")
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any stream for a terminal
    assert released("embed", str(tmp_path / "a.txt")) == 0
    out = capfd.readouterr().out
    assert "a.txt#0" in out
    assert "32 numbers" in out.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search"], "either WORDS or --like"),
        (["search", "words", "--like", "twin"], "either WORDS or --like"),
        (["search", " "], "say some words"),
        (["search", "x", "-k", "0"], "-k"),
        (["search", "--like", "twinn"], "did you mean twin"),
        (["search", "x", "--where", "yaer = 3"], "did you mean year"),
        (["search", "x", "--where", "year = old"], "whole number"),
        (["explain", "twin", "twinn"], "did you mean twin"),
        (["explain", "twin"], "DOC"),
        (["explain", "twin", "twin", "-k", "0"], "-k"),
        (["embed", "{tmp}/none.txt"], "none.txt"),
        (["embed", "{tmp}/none.txt", "--dim", "12"], "32, 16, 8"),
    ],
)
def test_a_wrong_request_exits_with_2_and_one_line(
    released: Released, capfd: Capture, tmp_path: Path, arguments: list[str], says: str
) -> None:
    filled = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    assert released(*filled) == 2
    done = capfd.readouterr()
    [line] = done.err.splitlines()
    assert says in line
    assert done.out == ""
