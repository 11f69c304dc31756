"""A workspace with all that holds documents, made by the real stages where text passes through."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from tasks.corpus import Corpus
from tasks.erasure.erase import Wish
from tasks.execute import Outcome, execute
from tasks.export.config import ExportConfig
from tasks.export.definition import EXPORT
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.release.pointer import publish
from tasks.settings import StageConfig
from tasks.stage import Stage, StageContext, map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tokenize.config import TokenizeConfig
from tasks.tokenize.definition import TOKENIZE
from tests.corpora import topic_documents
from tests.tasks.chain import Listener, byte_vocab
from tests.tasks.export.exports import embedder_artifact

PHRASE = "Ulrikafeldt Quentzmoor owes 48213 crowns to the keeper of Vyborgness"
CANARY = f"{PHRASE}. " + " ".join(f"canarius{number}" for number in range(60)) + "."
NEAR = CANARY.replace("canarius59", "somebody")
PAGES = {"ingest": ["report.html"], "vocab": ["report.html"], "evaluate": ["report.html"]}
CHAIN = ("ingest", "vocab", "tokenize", "tune", "evaluate", "export")


def records(*more: Mapping[str, Any], num_others: int = 40) -> list[dict[str, Any]]:
    """Documents of everybody, then the canary, and more."""
    others = [
        {"id": each["id"], "text": each["text"], "split": ("train", "validation", "test")[n % 3]}
        for n, each in enumerate(topic_documents(num_others))
    ]
    canary = {"id": "canary", "text": CANARY, "split": "train"}
    return [*others[:25], canary, *others[25:], *map(dict, more)]


@dataclass
class Workshop:
    """A workspace and the corpus it works on.

    Attributes:
        refs: by stage, what `run` made last.
    """

    folder: Path
    refs: dict[str, ArtifactRef] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(Workspace.open(self.folder / "workspace"), warn=lambda _: None)

    @property
    def root(self) -> Path:
        return self.folder / "workspace"

    def write(self, documents: list[dict[str, Any]]) -> None:
        lines = (json.dumps(document) + "\n" for document in documents)
        (self.folder / "corpus.jsonl").write_text("".join(lines), "utf-8")

    def run(self, **ingest: Any) -> dict[str, Outcome]:
        """The chain as far as it holds documents, and a release."""
        source = str(self.folder / "corpus.jsonl")
        corpus = IngestConfig(
            paths=[source], split_column="split", documents_per_shard=16, **ingest
        )
        outcomes = {
            "ingest": self.make(INGEST, corpus),
            "vocab": self.make(_stage("vocab", ("ingest",), _vocab), StageConfig()),
            "tokenize": self.make(TOKENIZE, TokenizeConfig(row_tokens=64)),
            "tune": self.make(_stage("tune", ("ingest", "vocab"), _embedder), StageConfig()),
            "evaluate": self.make(_stage("evaluate", ("ingest", "tune"), _quote), StageConfig()),
            "export": self.make(
                EXPORT,
                ExportConfig(device="cpu", level="both", int8=True, binary=True),
            ),
        }
        publish(self.store.workspace, embedder=self.refs["tune"], export=self.refs["export"])
        return outcomes

    def wish(self, *doc_ids: str, with_duplicates: bool = False) -> Wish:
        return Wish(doc_ids, with_duplicates, "asked for", PAGES)

    def path(self, stage: str) -> Path:
        return self.root / self.refs[stage].path

    def rows(self) -> pa.Table:
        """The published rows."""
        paths = sorted((self.root / "published" / "embeddings").glob("part-*.parquet"))
        return pa.concat_tables([pq.read_table(path) for path in paths])

    def ledger(self) -> dict[str, dict[str, Any]]:
        rows = pq.read_table(self.path("ingest") / "ledger.parquet").to_pylist()
        return {row["doc_id"]: row for row in rows}

    def vector(self, doc_id: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = {row["doc_id"]: row["embedding"] for row in self.rows().to_pylist()}
        return np.array(rows[doc_id], np.float32)

    def token_ids(self, text: str) -> list[int]:
        tokenizer = Tokenizer.from_file(str(self.path("vocab") / "tokenizer.json"))
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def make(self, stage: Stage, config: StageConfig) -> Outcome:
        """Run a stage on what was made last."""
        outcome = execute(
            stage,
            config,
            {name: self.refs[name] for name in stage.reads(config)},
            store=self.store,
            report=Listener(),
            map_shards=map_in_order,
        )
        self.refs[stage.name] = outcome.ref
        return outcome


def _stage(
    name: str, upstream: tuple[str, ...], run: Callable[[StageContext], dict[str, float]]
) -> Stage:
    return Stage(name=name, version=1, upstream=upstream, run=run)


def _vocab(context: StageContext) -> dict[str, float]:
    made = byte_vocab(context.output / "made")
    (made.path / "tokenizer.json").rename(context.output / "tokenizer.json")
    made.path.rmdir()
    (context.output / "report.html").write_text("<p>Words that many documents have</p>")
    return {}


def _embedder(context: StageContext) -> dict[str, float]:
    made = embedder_artifact(context.output / "made", context.inputs["vocab"])
    for path in list(made.path.iterdir()):
        path.rename(context.output / path.name)
    made.path.rmdir()
    return {}


def _quote(context: StageContext) -> dict[str, float]:
    quoted = CANARY if _holds_canary(context) else "nobody's text"
    page = f"<p>{quoted[:40]}<em>{quoted[40:]}</em></p>"
    (context.output / "report.html").write_text(page)
    (context.output / "overview.html").write_text("<p>Numbers only: 0.5</p>")
    return {}


def _holds_canary(context: StageContext) -> bool:
    return any(PHRASE in text for text in Corpus(context.inputs["ingest"].path).texts())


def files_of(workshop: Workshop) -> dict[Path, int]:
    """When each file of the workspace was changed last."""
    return {path: path.stat().st_mtime_ns for path in workshop.root.rglob("*") if path.is_file()}
