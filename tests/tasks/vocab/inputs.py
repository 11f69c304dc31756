"""What the vocab and tokenize stages are run on: a small corpus, and someone who listens."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.settings import StageConfig
from tasks.stage import StageContext
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import Manifest
from tasks.store.staging import SCRATCH
from tests.corpora import topic_documents

SPLITS = ("train", "validation", "test")
Rows = list[tuple[str, str]]
"""Split and text of each document."""


class Listener:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.messages: list[str] = []
        self.heard: list[tuple[int, int, str]] = []

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        raise AssertionError("these stages return their metrics")

    def progress(self, done: int, total: int, unit: str) -> None:
        self.heard.append((done, total, unit))

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def small_rows() -> Rows:
    """Some two hundred documents, most of them for training."""
    texts = [str(document["text"]) for document in topic_documents(200)]
    splits = ["train"] * 8 + ["validation", "test"]
    return [(splits[number % 10], text) for number, text in enumerate(texts)]


def write_corpus(folder: Path, rows: Rows, *, documents_per_shard: int = 60) -> Path:
    """An ingest artifact's files, as far as these stages read them."""
    (folder / "documents").mkdir(parents=True)
    shards = []
    for number, start in enumerate(range(0, len(rows), documents_per_shard)):
        part = rows[start : start + documents_per_shard]
        name = f"documents/shard-{number:05d}.parquet"
        pq.write_table(_table(part, start), folder / name, write_page_checksum=True)
        shards.append({"name": name, "num_documents": len(part)})
    (folder / "corpus.json").write_text(json.dumps(_about(rows, shards)), "utf-8")
    return folder


def context(
    config: StageConfig, inputs: Mapping[str, Path], output: Path, report: Listener | None = None
) -> StageContext:
    """What a stage is handed, its inputs under manifests that nobody checks here."""
    output.mkdir(parents=True, exist_ok=True)
    artifacts = {stage: _artifact(stage, folder) for stage, folder in inputs.items()}
    return StageContext(config, artifacts, output, report or Listener())


def files_of(folder: Path) -> dict[str, str]:
    """The digest of every file below the folder that a commit would keep."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and SCRATCH not in path.relative_to(folder).parts
    }


def _artifact(stage: str, folder: Path) -> Artifact:
    identity = Identity(stage=stage, version=1, settings={}, inputs={})
    return artifact_from(folder, Manifest(identity=identity, inputs={}, files=()))


def _table(rows: Sequence[tuple[str, str]], first: int) -> pa.Table:
    texts = [text for _, text in rows]
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return pa.table(
        {
            "doc_id": [f"made#{first + number}" for number in range(len(rows))],
            "text": pa.array(texts, pa.string()),
            "content_sha256": pa.array(digests, pa.binary(32)),
            "source": ["made"] * len(rows),
            "split": [split for split, _ in rows],
        }
    )


def _about(rows: Rows, shards: list[dict[str, str | int]]) -> dict[str, object]:
    texts = {split: [text for name, text in rows if name == split] for split in SPLITS}
    return {
        "num_documents": {split: len(texts[split]) for split in SPLITS},
        "num_text_bytes": {s: sum(len(text.encode()) for text in texts[s]) for s in SPLITS},
        "num_read": len(rows),
        "num_kept": len(rows),
        "num_duplicate": 0,
        "num_dropped": 0,
        "num_quarantined": 0,
        "reasons": {},
        "label_column": None,
        "title_column": None,
        "metadata_columns": [],
        "shards": shards,
    }
