"""Runs the ingest stage on small corpora, beside enough plain documents to fill every split."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.corpus import Corpus
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.stage import Metrics, StageContext
from tasks.store.staging import SCRATCH

NUM_FILLERS = 40


class Listener:
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.tables: dict[str, list[dict[str, object]]] = {}

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None: ...

    def progress(self, done: int, total: int, unit: str) -> None:
        assert 0 <= done <= total

    def table(self, name: str, rows: list[dict[str, object]]) -> None:
        self.tables[name] = rows

    def message(self, text: str) -> None: ...

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@dataclass
class Ingested:
    """A finished artifact, without the fillers."""

    folder: Path
    metrics: Metrics
    heard: Listener

    @property
    def corpus(self) -> Corpus:
        return Corpus(self.folder)

    @property
    def texts(self) -> dict[str, str]:
        return self._rows("text")

    @property
    def metadata(self) -> dict[str, dict[str, Any]]:
        ids = self.texts
        return {d.doc_id: d.metadata for d in self.corpus.documents() if d.doc_id in ids}

    @property
    def ledger(self) -> dict[str, str]:
        """doc_id -> status and what belongs to it, of documents that are not just kept."""
        rows = pq.read_table(self.folder / "ledger.parquet").to_pylist()
        return {
            row["doc_id"]: f"{row['status']} {row['kept_doc_id'] or row['reason']}"
            for row in rows
            if row["status"] != "kept"
        }

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        return list(pq.read_table(self.folder / "quarantine.parquet").to_pylist())

    def _rows(self, column: str) -> dict[str, Any]:
        rows = [
            row
            for batch in self.corpus.batches(["doc_id", "source", column])
            for row in batch.to_pylist()
        ]
        return {r["doc_id"]: r[column] for r in rows if not r["source"].startswith("filler-")}


Ingest = Callable[..., Ingested]


@pytest.fixture(scope="session")
def fillers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fillers")
    for number in range(NUM_FILLERS):
        (folder / f"filler-{number:02d}.txt").write_text(f"filler number {number}", "utf-8")
    return folder


@pytest.fixture
def ingest(tmp_path_factory: pytest.TempPathFactory, fillers: Path) -> Ingest:
    """Ingest paths with settings; `fill=False` leaves the filling documents out, `earlier` is a
    corpus to build on."""

    def run(
        *paths: Path | str,
        fill: bool = True,
        output: Path | None = None,
        earlier: Ingested | None = None,
        **settings: Any,
    ) -> Ingested:
        output = output or tmp_path_factory.mktemp("artifact")
        given = [str(path) for path in (*paths, *([fillers] if fill else []))]
        drawn = {} if not fill else {"validation_frac": 0.3, "test_frac": 0.3}
        config = IngestConfig(**{"paths": given, **drawn, **settings})
        heard = Listener()
        before = earlier.folder if earlier else None
        context = StageContext(config, {}, output, heard, earlier=lambda: before)
        metrics = INGEST.run(context)
        shutil.rmtree(output / SCRATCH)  # as a commit does
        return Ingested(output, metrics, heard)

    return run
