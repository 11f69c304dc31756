"""A second ingest reads only what changed, and comes to what a first one of the files gives."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tasks.ingest import readers
from tasks.ingest.places.sources import Source
from tests.folders import all_bytes

WORDS = "river stone lamp winter carpet engine maple ladder ocean ticket garden".split()


def text(seed: int, num_words: int = 40) -> str:
    """A text unlike that of any other seed."""
    draw = random.Random(seed)
    return " ".join(f"{draw.choice(WORDS)}{draw.randrange(1000)}" for _ in range(num_words))


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def rows(start: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"d{n}", "text": text(n), "n": n, **more} for n in range(start, start + count)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the source files that were opened to be read."""
    names: list[str] = []
    plain = readers.open_source

    def noting(source: Source, *rest: Any) -> Any:
        names.append(source.name)
        return plain(source, *rest)

    monkeypatch.setattr(readers, "open_source", noting)
    monkeypatch.setattr("tasks.ingest.survey.open_source", noting)
    return names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        write_table(tmp_path / "in" / f"t{number}.jsonl", rows(100 * number, 30))
    for number in range(10):
        path = tmp_path / "in" / "pages" / f"p{number}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Page {number}\n\n{text(5000 + number)}\n", "utf-8")
    return tmp_path / "in"


def check_same_as_fresh(again: Any, folder: Path, ingest: Any, **settings: Any) -> None:
    assert all_bytes(again.folder) == all_bytes(ingest(folder, fill=False, **settings).folder)


def test_files_that_come_change_and_go(folder: Path, ingest: Any, opened: list[str]) -> None:
    first = ingest(folder, fill=False)
    write_table(folder / "t2.jsonl", [*rows(200, 29), *rows(7000, 2)])
    (folder / "t4.jsonl").unlink()
    write_table(folder / "u.jsonl", rows(8000, 5))
    opened.clear()
    again = ingest(folder, fill=False, earlier=first)
    assert set(opened) == {"t2.jsonl", "u.jsonl"}
    changes = {name: again.metrics[f"num_{name}"] for name in ("added", "removed")}
    assert changes == {"added": 7, "removed": 31}
    assert again.metrics["num_text_changed"] == again.metrics["num_metadata_changed"] == 0
    check_same_as_fresh(again, folder, ingest)


def test_nothing_new_reads_and_encodes_nothing(
    folder: Path, ingest: Any, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(folder, fill=False)
    opened.clear()
    monkeypatch.setattr("tasks.ingest.shards._open_table", None)  # to encode would fail
    again = ingest(folder, fill=False, earlier=first)
    assert opened == []
    assert all_bytes(again.folder) == all_bytes(first.folder)


def test_a_twin_comes_back_without_reading_its_file(
    folder: Path, ingest: Any, opened: list[str]
) -> None:
    """Exact and near: the text of a duplicate is kept aside for the day it is needed."""
    near = text(300) + " and one more word"
    write_table(folder / "a.jsonl", [{"id": "x", "text": text(301)}, {"id": "y", "text": near}])
    first = ingest(folder, fill=False, near_duplicate_threshold=0.7)
    assert first.ledger == {"d300": "duplicate_of y", "d301": "duplicate_of x"}
    (folder / "a.jsonl").unlink()
    opened.clear()
    again = ingest(folder, fill=False, near_duplicate_threshold=0.7, earlier=first)
    assert opened == []
    assert again.ledger == {}
    assert again.texts["d300"] == text(300)
    check_same_as_fresh(again, folder, ingest, near_duplicate_threshold=0.7)


def test_metadata_changes_are_told_from_text_changes(folder: Path, ingest: Any) -> None:
    first = ingest(folder, fill=False)
    changed = rows(0, 30)
    changed[3]["n"] = -1
    changed[4]["n"] = -2
    changed[5]["text"] = text(9999)
    write_table(folder / "t0.jsonl", changed)
    again = ingest(folder, fill=False, earlier=first)
    found = {name: int(n) for name, n in again.metrics.items() if n and name.endswith("changed")}
    assert found == {"num_metadata_changed": 2, "num_text_changed": 1}
    assert again.metrics["num_added"] == again.metrics["num_removed"] == 0


def test_a_new_column_spares_the_reading(folder: Path, ingest: Any, opened: list[str]) -> None:
    first = ingest(folder, fill=False)
    write_table(folder / "v.jsonl", rows(8500, 3, colour="red"))
    opened.clear()
    again = ingest(folder, fill=False, earlier=first)
    assert set(opened) == {"v.jsonl"}
    check_same_as_fresh(again, folder, ingest)


def test_a_column_of_another_type_is_read_again(
    folder: Path, ingest: Any, opened: list[str]
) -> None:
    """What was stored as a number cannot tell how it was spelled."""
    (folder / "c.csv").write_text("text,n\nfirst row here,2.5\nsecond row there,1.50\n", "utf-8")
    first = ingest(folder, fill=False)
    write_table(folder / "w.jsonl", [{"id": "w", "text": text(1), "n": "many"}])
    opened.clear()
    again = ingest(folder, fill=False, earlier=first)
    assert "c.csv" in opened
    assert again.metadata["c.csv#1"]["n"] == "1.50"
    check_same_as_fresh(again, folder, ingest)


def test_a_file_that_cannot_be_read_keeps_its_documents(
    folder: Path, ingest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(folder, fill=False)
    plain = os.open

    def broken(path: Any, *rest: Any, **more: Any) -> int:
        if os.fspath(path) == str(folder / "t1.jsonl"):
            raise OSError(5, "Input/output error")
        return plain(path, *rest, **more)

    (folder / "t0.jsonl").unlink()
    monkeypatch.setattr(os, "open", broken)
    (folder / "t1.jsonl").touch()  # or its bytes would be remembered
    again = ingest(folder, fill=False, earlier=first)
    assert {f"d{n}" for n in range(100, 130)} <= set(again.texts)
    assert again.corpus.about.carried_over == ["t1.jsonl"]
    assert any("t1.jsonl cannot be read" in line for line in again.heard.warnings)
    assert ingest(folder, fill=False).ledger["t1.jsonl"] == "quarantined unreadable"
    # With a column of another type the old rows do not serve; and the loss is not for ever.
    write_table(folder / "w.jsonl", [{"id": "w", "text": text(1), "n": "many"}])
    lost = ingest(folder, fill=False, earlier=again)
    assert lost.ledger["t1.jsonl"] == "quarantined unreadable"
    assert lost.corpus.about.carried_over == []
    monkeypatch.undo()
    found = ingest(folder, fill=False, earlier=lost)
    assert {f"d{n}" for n in range(100, 130)} <= set(found.texts)
    check_same_as_fresh(found, folder, ingest)


@pytest.mark.parametrize("seed", range(4))
def test_any_history_comes_to_the_same(tmp_path: Path, ingest: Any, seed: int) -> None:
    """Files come, change, move and go at random, with duplicates among them."""
    draw = random.Random(seed)
    folder, corpus = tmp_path / "in", None
    for _ in range(5):
        for _ in range(draw.randrange(1, 5)):
            path = folder / f"{draw.randrange(8)}.jsonl"
            if draw.random() < 0.3 and len(list(folder.glob("*"))) > 3:
                path.unlink(missing_ok=True)
                continue
            numbers = [draw.randrange(60) for _ in range(draw.randrange(1, 25))]
            tails = [draw.choice(["", "", " and a tail", " with an end"]) for _ in numbers]
            write_table(
                path,
                [
                    {"id": f"{path.name}-{place}", "text": text(n) + tail, "v": draw.randrange(3)}
                    for place, (n, tail) in enumerate(zip(numbers, tails, strict=True))
                ],
            )
        write_table(folder / "base.jsonl", rows(1000, 40))
        settings = {"documents_per_shard": 7, "near_duplicate_threshold": 0.7}
        corpus = ingest(folder, fill=False, earlier=corpus, **settings)
        check_same_as_fresh(corpus, folder, ingest, **settings)


def test_rows_read_before_a_crash_are_found_again(
    folder: Path, ingest: Any, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out"
    output.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("tasks.ingest.run.decide", crash)
        with pytest.raises(KeyboardInterrupt):
            ingest(folder, fill=False, output=output)
    opened.clear()
    again = ingest(folder, fill=False, output=output)
    assert len(opened) == 16  # the survey's pass; the rows are there
    check_same_as_fresh(again, folder, ingest)


def test_workers_give_the_same_bytes(folder: Path, ingest: Any) -> None:
    one = ingest(folder, fill=False, num_workers=1)
    two = ingest(folder, fill=False, num_workers=2)
    assert all_bytes(one.folder) == all_bytes(two.folder)
