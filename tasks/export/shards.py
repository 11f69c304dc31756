"""Embeds one shard of the corpus into its files of the dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from model.embedding import embed_windows, plan_windows
from tasks.corpus import Corpus, read_shard
from tasks.embedder import Embedder
from tasks.export.columns import chunk_schema, document_schema
from tasks.export.config import ExportConfig
from tasks.export.dataset import label
from tasks.export.duplicates import RowPlan, plan_rows, read_duplicates
from tasks.export.parts import is_finished, write_part
from tasks.export.progress import WindowProgress
from tasks.export.tables import Embedded, chunk_table, document_table
from tasks.progress import SharedProgress


@dataclass(frozen=True)
class ShardTotals:
    """What one shard of the corpus became, as read back from its files.

    Attributes:
        num_documents: rows of its part, duplicates included.
        num_tokens, num_windows: summed over these rows.
        num_chunks: rows of its chunk file; 0 where there is none.
        num_embedded: documents that went through the encoder in this attempt.
    """

    num_documents: int
    num_tokens: int
    num_windows: int
    num_chunks: int
    num_embedded: int


@dataclass(frozen=True)
class ShardExporter:
    """Makes the files of any shard; shards do not depend on each other.

    Attributes:
        corpus: where the documents and the ledger are.
        embedder: makes the vectors.
        precision: what matrix products are computed in.
        config: the stage's settings.
        description: what every file says about itself.
        output: where the files go.
        progress: hears how many documents are embedded.
    """

    corpus: Corpus
    embedder: Embedder
    precision: torch.dtype
    config: ExportConfig
    description: Mapping[str, Any]
    output: Path
    progress: SharedProgress

    def export(self, shard: int) -> ShardTotals:
        """Write shard number `shard`, unless an earlier attempt left it whole and undamaged.

        Chunks are written before documents, so that a part without its chunks never counts.

        Raises:
            ArtifactError: an input is damaged, or a vector is unusable.
            CorpusError: a document is too long to count its windows.

        Cost: memory for the shard's text, tokens and vectors.
        """
        wanted = ["doc_id", "content_sha256", "split", *self.corpus.about.metadata_columns]
        documents = read_shard(self.corpus.shards[shard], wanted)
        duplicates = read_duplicates(self.corpus.folder / "ledger.parquet", documents["doc_id"])
        rows = plan_rows(documents["doc_id"].to_pylist(), duplicates)
        schema = self._document_schema(shard, documents, rows)
        path = self.output / part_name(shard)
        if self.config.level == "document" and is_finished(path, schema, rows.doc_ids):
            self.progress.add(documents.num_rows)
            return _read_totals(path, num_chunks=0, num_embedded=0)
        embedded = self._embed(shard)
        num_chunks = self._write_chunks(shard, rows, embedded)
        write_part(path, document_table(schema, documents, rows, embedded, self.config))
        return _read_totals(path, num_chunks=num_chunks, num_embedded=documents.num_rows)

    def _embed(self, shard: int) -> Embedded:
        texts = read_shard(self.corpus.shards[shard], ["text"])["text"].to_pylist()
        tokens = self.embedder.tokenize(texts)
        lengths = [len(document) for document in tokens]
        windows = plan_windows(lengths, self.embedder.about.max_window_tokens)
        progress = WindowProgress(self.progress, len(texts), len(windows.starts_W))
        means_WD = embed_windows(
            self.embedder.encoder,
            tokens,
            windows,
            tokens_per_batch=self.config.tokens_per_batch,
            precision=self.precision,
            on_batch=progress.add_windows,
        )
        return Embedded(np.array(lengths, dtype=np.int32), windows, means_WD)

    def _write_chunks(self, shard: int, rows: RowPlan, embedded: Embedded) -> int:
        if self.config.level != "chunk":
            return 0
        schema = chunk_schema(self.embedder.about.dim, self.config)
        table = chunk_table(schema, rows, embedded, self.config)
        labelled = self._label(schema, shard, len(table))
        write_part(self.output / chunk_name(shard), table.cast(labelled))
        return len(table)

    def _document_schema(self, shard: int, documents: pa.Table, rows: RowPlan) -> pa.Schema:
        metadata = [documents.schema.field(name) for name in self.corpus.about.metadata_columns]
        schema = document_schema(metadata, self.embedder.about.dim, self.config)
        return self._label(schema, shard, len(rows.sources))

    def _label(self, schema: pa.Schema, shard: int, num_rows: int) -> pa.Schema:
        num_shards = len(self.corpus.about.shards)
        return label(
            schema, self.description, shard=shard, num_shards=num_shards, num_rows=num_rows
        )


def part_name(shard: int) -> str:
    """The file of a shard's documents."""
    return f"part-{shard:05d}.parquet"


def chunk_name(shard: int) -> str:
    """The file of a shard's chunks."""
    return f"chunk-{shard:05d}.parquet"


def _read_totals(path: Path, *, num_chunks: int, num_embedded: int) -> ShardTotals:
    """Totals from what lies on disk, so that they say what a reader will find."""
    found = pq.read_table(path, columns=["n_tokens", "n_windows"], page_checksum_verification=True)
    return ShardTotals(
        num_documents=found.num_rows,
        num_tokens=pc.sum(found["n_tokens"], min_count=0).as_py(),
        num_windows=pc.sum(found["n_windows"], min_count=0).as_py(),
        num_chunks=num_chunks,
        num_embedded=num_embedded,
    )
