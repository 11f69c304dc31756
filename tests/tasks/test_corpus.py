"""The corpus is read as it was written, and damage is noticed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from model.errors import ArtifactError
from tasks.corpus import Corpus, read_shard
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.stage import StageContext

ROWS = [
    {"id": f"id-{n}", "text": f"text number {n} " + "é" * (n + 1), "n": n, "a.b": [n, None]}
    for n in range(60)
]


class Silent:
    def metrics(self, *args: Any, **kwargs: Any) -> None: ...

    progress = table = message = warning = metrics


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ingest artifact of three shards."""
    folder = tmp_path_factory.mktemp("corpus")
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    output = folder / "artifact"
    output.mkdir()
    config = IngestConfig(
        paths=[str(source)], documents_per_shard=25, validation_frac=0.3, test_frac=0.3
    )
    INGEST.run(StageContext(config, {}, output, Silent()))
    return output


@pytest.fixture
def corpus(written: Path) -> Corpus:
    return Corpus(written)


def test_documents_come_back_in_order(corpus: Corpus) -> None:
    documents = list(corpus.documents())
    assert [d.doc_id for d in documents] == [row["id"] for row in ROWS]
    assert [d.text for d in documents] == [row["text"] for row in ROWS]
    assert [d.metadata for d in documents] == [{"n": r["n"], "a.b": r["a.b"]} for r in ROWS]
    for document in documents:
        assert document.content_sha256 == hashlib.sha256(document.text.encode()).digest()


def test_splits_part_the_corpus(corpus: Corpus) -> None:
    parts = {split: list(corpus.documents(split)) for split in ("train", "validation", "test")}
    assert {split: len(part) for split, part in parts.items()} == corpus.about.num_documents
    assert all(d.split == split for split, part in parts.items() for d in part)
    assert sum(map(len, parts.values())) == 60
    for split, part in parts.items():
        assert list(corpus.texts(split)) == [d.text for d in part]
        assert corpus.about.num_text_bytes[split] == sum(len(d.text.encode()) for d in part)
    assert list(corpus.texts()) == [row["text"] for row in ROWS]


def test_batches_hold_the_columns_asked_for(corpus: Corpus) -> None:
    batches = list(corpus.batches(["a.b", "doc_id"]))
    assert all(batch.schema.names == ["a.b", "doc_id"] for batch in batches)
    assert sum(batch.num_rows for batch in batches) == 60
    assert next(corpus.batches()).schema.names[:3] == ["doc_id", "text", "content_sha256"]


def test_a_shard_is_a_table(corpus: Corpus) -> None:
    shards = corpus.shards
    assert [read_shard(shard).num_rows for shard in shards] == [25, 25, 10]
    table = read_shard(shards[2], ["n"])
    assert table.equals(pa.table({"n": list(range(50, 60))}))


def test_a_split_nobody_made(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="'dev' is none of train, validation, test"):
        next(corpus.texts("dev"))


def test_a_column_nobody_made(corpus: Corpus) -> None:
    with pytest.raises(ArtifactError, match=r"no column 'absent'.*doc_id, text"):
        next(corpus.batches(["absent"]))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("damage", [flip_a_bit, cut, Path.unlink])
def test_a_damaged_shard_is_noticed(
    written: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "corpus.json").write_bytes((written / "corpus.json").read_bytes())
    for shard in Corpus(written).shards:
        (tmp_path / "documents" / shard.name).write_bytes(shard.read_bytes())
    damage(tmp_path / "documents" / "shard-00001.parquet")
    with pytest.raises(ArtifactError, match=r"shard-00001\.parquet cannot be read") as caught:
        list(Corpus(tmp_path).documents())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shards": [1]}', '{"shards": [], "new": 1}'])
def test_a_foreign_summary_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(ArtifactError, match="is not a corpus summary"):
        _ = Corpus(tmp_path).about
