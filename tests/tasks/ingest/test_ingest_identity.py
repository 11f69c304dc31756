"""The same content gives the same corpus, wherever it lies and in whatever order it comes."""

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.corpus import SPLITS
from tasks.ingest import run as ingest_run
from tasks.ingest.config import IngestConfig
from tasks.ingest.places.sources import SourceChangedError, sources
from tasks.ingest.splits import draw_of, drawn_splits
from tasks.ingest.stage import INGEST
from tests.folders import all_bytes


def write_lines(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, "n": len(text)}) + "\n" for text in texts))


def splits_by_text(folder: Path) -> dict[str, str]:
    rows = pq.read_table(folder / "documents").to_pylist()
    return {row["text"]: row["split"] for row in rows}


TEXTS = [f"document {number} on the subject of {number % 7}" for number in range(100)]


def test_a_corpus_that_moves_stays_the_same(tmp_path: Path, ingest: Any) -> None:
    here, there = tmp_path / "here", tmp_path / "some" / "where" / "there"
    write_lines(here / "b.jsonl", TEXTS[:60])
    write_lines(here / "sub" / "a.jsonl", [*TEXTS[50:], "{bad"])
    (here / "bad.txt").write_bytes(b"\xff")
    first = ingest(here, fill=False)
    shutil.copytree(here, there)
    shutil.rmtree(here)
    second = ingest(there, fill=False)
    assert all_bytes(first.folder) == all_bytes(second.folder)
    moved = IngestConfig(paths=[str(there)])
    assert [name for name, _ in sources(moved)] == ["b.jsonl", "bad.txt", "sub/a.jsonl"]
    assert moved.identity() == IngestConfig(paths=[str(here)]).identity()


def test_nothing_of_an_earlier_attempt_is_left(tmp_path: Path, ingest: Any) -> None:
    write_lines(tmp_path / "in" / "a.jsonl", TEXTS)
    output = tmp_path / "out"
    (output / "documents").mkdir(parents=True)
    (output / "documents" / "shard-00007.parquet").write_bytes(b"half")
    (output / "stale.json").write_text("{}")
    found = ingest(tmp_path / "in", fill=False, output=output)
    assert all_bytes(found.folder) == all_bytes(ingest(tmp_path / "in", fill=False).folder)


def test_splits_do_not_depend_on_order_or_files(tmp_path: Path, ingest: Any) -> None:
    shuffled = random.Random(1).sample(TEXTS, len(TEXTS))
    write_lines(tmp_path / "one" / "a.jsonl", TEXTS)
    write_lines(tmp_path / "two" / "z.jsonl", shuffled[:30])
    write_lines(tmp_path / "two" / "y.jsonl", [*shuffled[30:], "one more"])
    first, second = (
        splits_by_text(ingest(tmp_path / name, fill=False).folder) for name in ("one", "two")
    )
    assert second.pop("one more")
    assert first == second
    other_seed = splits_by_text(ingest(tmp_path / "one", fill=False, seed=1).folder)
    assert other_seed != first


def test_the_order_of_paths_does_not_matter(tmp_path: Path, ingest: Any) -> None:
    write_lines(tmp_path / "a" / "x.jsonl", TEXTS[:60])
    write_lines(tmp_path / "b" / "x.jsonl", TEXTS[40:])
    paths = [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl"]
    first, second = ingest(*paths, fill=False), ingest(*reversed(paths), fill=False)
    assert all_bytes(first.folder) == all_bytes(second.folder)
    assert {doc_id.split("#")[0] for doc_id in first.texts} == {"x.jsonl", "x.jsonl~2"}


def test_the_first_of_equal_texts_is_kept(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "b.txt").write_text("caf\u00e9", "utf-8")
    (tmp_path / "a.txt").write_text("cafe\u0301", "utf-8")
    write_lines(tmp_path / "c.jsonl", ["caf\u00e9", "other"])
    found = ingest(tmp_path)
    assert found.texts == {"a.txt#0": "caf\u00e9", "c.jsonl#1": "other"}
    assert found.ledger == {
        "b.txt#0": "duplicate_of a.txt#0",
        "c.jsonl#0": "duplicate_of a.txt#0",
    }


def test_fractions_are_met_and_grow_without_reshuffling() -> None:
    hashes = [number.to_bytes(32, "big") for number in range(20_000)]

    def draw(validation_frac: float, test_frac: float) -> list[str]:
        draws = np.array([draw_of(one, seed=5) for one in hashes], np.uint64)
        return [SPLITS[code] for code in drawn_splits(draws, validation_frac, test_frac)]

    small, large = draw(0.05, 0.1), draw(0.1, 0.2)
    assert small.count("test") == pytest.approx(2000, abs=200)
    assert small.count("validation") == pytest.approx(1000, abs=150)
    held_out = [(a, b) for a, b in zip(small, large, strict=True) if a != "train"]
    assert all(before == after for before, after in held_out)


@pytest.mark.parametrize("damage", ["append", "replace", "delete"])
def test_a_source_that_changes_meanwhile(
    tmp_path: Path, ingest: Any, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, TEXTS)
    assign = ingest_run.assign_columns

    def change_then_assign(*args: Any) -> Any:
        if damage == "delete":
            path.unlink()
        else:
            old = path.read_text()
            path.write_text(old + '{"text": "late"}\n' if damage == "append" else old[::-1])
        return assign(*args)

    monkeypatch.setattr(ingest_run, "assign_columns", change_then_assign)
    with pytest.raises(SourceChangedError, match=r"a\.jsonl changed while"):
        ingest(path, fill=False)


def test_shards_hold_the_corpus_in_order(tmp_path: Path, ingest: Any) -> None:
    write_lines(tmp_path / "a.jsonl", TEXTS)
    found = ingest(tmp_path, fill=False, documents_per_shard=30)
    assert [shard.num_documents for shard in found.corpus.about.shards] == [30, 30, 30, 10]
    assert list(found.corpus.texts()) == TEXTS
    assert sorted(path.name for path in (found.folder / "documents").iterdir()) == [
        f"shard-0000{number}.parquet" for number in range(4)
    ]


# By stage version. If this fails and the change is meant, raise the version of INGEST and add its
# line: without that, artifacts of the old code would be taken for results of the new one.
GOLDEN = {
    1: "11bc1ef525f644eb7ed221aecc51b949b89cb6f9ecff1f1652ff251b219180f9",
    2: "81c3410e93821bf36f2505483d198c9ae1417574e4469a9387680547ec19be1a",
}


def test_golden_output(tmp_path: Path, ingest: Any) -> None:
    write_lines(tmp_path / "a.jsonl", [*TEXTS, TEXTS[3], "cafe\u0301", " "])
    (tmp_path / "b.csv").write_text('text,n,tag\n"one, more",1,x\nbroken,2\n,3,y\nlast,0.5,007\n')
    (tmp_path / "c.md").write_bytes(b"# Title\r\n\r\nText.\n")
    (tmp_path / "d.txt").write_bytes(b"\xff")
    found = ingest(tmp_path, fill=False, documents_per_shard=60)
    tables = [
        *found.corpus.shards,
        *(found.folder / f"{n}.parquet" for n in ("ledger", "quarantine")),
    ]
    content = [pq.read_table(path).to_pylist() for path in tables]
    content.append(json.loads((found.folder / "corpus.json").read_text()))
    digest = hashlib.sha256(json.dumps(content, default=bytes.hex).encode()).hexdigest()
    assert digest == GOLDEN[INGEST.version]
