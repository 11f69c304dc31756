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
from numpy.typing import NDArray

from model.embedding import embed_windows, plan_windows
from tasks.content_hashes import hashes_of
from tasks.corpus import Corpus, read_shard
from tasks.export.columns import chunk_schema, document_schema
from tasks.export.config import ExportConfig
from tasks.export.dataset import label
from tasks.export.duplicates import RowPlan, plan_rows, read_duplicates
from tasks.export.earlier import EarlierDataset
from tasks.export.parts import chunk_name, is_finished, part_name, write_part
from tasks.export.progress import WindowProgress
from tasks.export.tables import (
    Vectors,
    chunk_doc_ids,
    chunk_table,
    document_table,
    fresh_vectors,
    merged,
    num_windows_of,
)
from tasks.export.workers import Embedders, tokens_per_batch
from tasks.progress import Progress


@dataclass(frozen=True)
class ShardTotals:
    """What one shard of the corpus became, as read back from its files.

    Attributes:
        num_documents: rows of its part, duplicates included.
        num_tokens, num_windows: summed over these rows.
        num_chunks: rows of its chunk file; 0 where there is none.
        num_embedded: documents that went through the encoder in this attempt.
        num_reused: documents whose vectors were taken from an earlier dataset in this attempt.
        num_resumed: documents that an interrupted attempt had finished.
    """

    num_documents: int
    num_tokens: int
    num_windows: int
    num_chunks: int
    num_embedded: int = 0
    num_reused: int = 0
    num_resumed: int = 0


@dataclass(frozen=True)
class ShardExporter:
    """Makes the files of any shard; shards do not depend on each other.

    Attributes:
        corpus: where the documents and the ledger are.
        embedders: make the vectors.
        precision: what matrix products are computed in.
        config: the stage's settings.
        description: what every file says about itself.
        output: where the files go.
        progress: hears how many documents are done.
        earlier: a dataset to take vectors from, if there is one.
    """

    corpus: Corpus
    embedders: Embedders
    precision: torch.dtype
    config: ExportConfig
    description: Mapping[str, Any]
    output: Path
    progress: Progress
    earlier: EarlierDataset | None = None

    def export(self, shard: int) -> ShardTotals:
        """Write shard number `shard`, unless an earlier attempt left it whole and undamaged.

        Chunks are written before documents, so that a part without its chunks never counts.

        Raises:
            ArtifactError: an input is damaged, or a vector is unusable.
            CorpusError: a document is too long to count its windows.

        Cost: memory for the shard's text, tokens and vectors, of at most two shards a device.
        """
        wanted = ["doc_id", "content_sha256", "split", *self.corpus.about.metadata_columns]
        documents = read_shard(self.corpus.shards[shard], wanted)
        duplicates = read_duplicates(self.corpus.folder / "ledger.parquet", documents["doc_id"])
        rows = plan_rows(documents["doc_id"].to_pylist(), duplicates)
        schema = self._document_schema(shard, documents, rows)
        if self._is_finished(shard, schema, rows):
            self.progress.add(documents.num_rows)
            return self._totals(shard, num_resumed=documents.num_rows)
        with self.embedders.room:
            vectors, num_reused = self._vectors(shard, documents["content_sha256"])
            self._write(shard, schema, documents, rows, vectors)
        num_embedded = documents.num_rows - num_reused
        return self._totals(shard, num_embedded=num_embedded, num_reused=num_reused)

    def _vectors(self, shard: int, hashes: pa.ChunkedArray) -> tuple[Vectors, int]:
        """The vectors of all documents of a shard, and how many of them were there already."""
        all_T = np.arange(len(hashes))
        if self.earlier is None:
            return self._embed(shard, all_T), 0
        found_F, reused = self.earlier.take(hashes_of(hashes))
        self.progress.add(len(found_F))
        new_T = np.setdiff1d(all_T, found_F)
        parts = [] if reused is None else [(found_F, reused)]
        if len(new_T) or not parts:
            parts.append((new_T, self._embed(shard, new_T)))
        return merged(parts), len(found_F)

    def _embed(self, shard: int, places_T: NDArray[np.int64]) -> Vectors:
        texts = read_shard(self.corpus.shards[shard], ["text"])["text"]
        tokens = self.embedders.tokenize(texts.take(pa.array(places_T)).to_pylist())
        lengths = [len(document) for document in tokens]
        windows = plan_windows(lengths, self.embedders.about.max_window_tokens)
        progress = WindowProgress(self.progress, len(tokens), len(windows.starts_W))
        with self.embedders.borrowed() as embedder:
            device = next(embedder.encoder.parameters()).device
            sums_WD = embed_windows(
                embedder.encoder,
                tokens,
                windows,
                tokens_per_batch=self.config.tokens_per_batch or tokens_per_batch(device),
                precision=self.precision,
                weights_V=embedder.weights_V,
                on_batch=progress.add_windows,
            )
        return fresh_vectors(lengths, windows, sums_WD, self.config)

    def _write(
        self, shard: int, schema: pa.Schema, documents: pa.Table, rows: RowPlan, vectors: Vectors
    ) -> None:
        if vectors.chunks is not None:
            table = chunk_table(self._chunk_schema(), rows, vectors)
            labelled = self._label(table.schema, shard, len(table))
            write_part(self.output / chunk_name(shard), table.cast(labelled))
        write_part(self.output / part_name(shard), document_table(schema, documents, rows, vectors))

    def _is_finished(self, shard: int, schema: pa.Schema, rows: RowPlan) -> bool:
        path = self.output / part_name(shard)
        if not is_finished(path, schema, rows.doc_ids):
            return False
        if self.config.level == "document":
            return True
        num_windows_R = num_windows_of(
            pq.read_table(path, columns=["n_windows"], page_checksum_verification=True)
        )
        labelled = self._label(self._chunk_schema(), shard, int(num_windows_R.sum()))
        doc_ids = chunk_doc_ids(rows.doc_ids, num_windows_R)
        return is_finished(self.output / chunk_name(shard), labelled, doc_ids)

    def _totals(self, shard: int, **counts: int) -> ShardTotals:
        """Totals from what lies on disk, so that they say what a reader will find."""
        found = pq.read_table(
            self.output / part_name(shard),
            columns=["n_tokens", "n_windows"],
            page_checksum_verification=True,
        )
        has_chunks = self.config.level != "document"
        chunks = self.output / chunk_name(shard)
        return ShardTotals(
            num_documents=found.num_rows,
            num_tokens=pc.sum(found["n_tokens"], min_count=0).as_py(),
            num_windows=pc.sum(found["n_windows"], min_count=0).as_py(),
            num_chunks=pq.read_metadata(chunks).num_rows if has_chunks else 0,
            **counts,
        )

    def _document_schema(self, shard: int, documents: pa.Table, rows: RowPlan) -> pa.Schema:
        metadata = [documents.schema.field(name) for name in self.corpus.about.metadata_columns]
        schema = document_schema(metadata, self.embedders.about.dim, self.config)
        return self._label(schema, shard, len(rows.sources))

    def _chunk_schema(self) -> pa.Schema:
        return chunk_schema(self.embedders.about.dim, self.config)

    def _label(self, schema: pa.Schema, shard: int, num_rows: int) -> pa.Schema:
        num_shards = len(self.corpus.about.shards)
        return label(
            schema, self.description, shard=shard, num_shards=num_shards, num_rows=num_rows
        )
