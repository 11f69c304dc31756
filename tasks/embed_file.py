"""Embeds the documents of files that need not be part of any corpus."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import CorpusError, RequestError
from tasks.embedder import Embedder, EmbedderSummary, cut
from tasks.export.columns import vector_fields
from tasks.export.config import ExportConfig
from tasks.export.parts import METADATA_KEY
from tasks.export.vectors import vector_columns
from tasks.ingest.cleaning.cleaner import Candidate, Cleaner, Dropped
from tasks.ingest.config import IngestConfig
from tasks.ingest.places.sources import list_sources
from tasks.ingest.readers import read_source
from tasks.ingest.reading.records import Reason, Record, Refusal, document_name
from tasks.ingest.reading.streams import ignore_progress
from tasks.store.manifest import read_manifest

_DOCUMENTS_AT_ONCE = 256
_PLAIN = ExportConfig.model_validate({})  # float32 vectors in no other form


def embed_file(
    files: Sequence[str], output: Path, *, embedder: Path, dim: int | None = None
) -> int:
    """Embed every document of the files, whole, into one Parquet file.

    Its columns are ``doc_id, content_sha256, n_tokens, n_windows, embedding``, named and typed as
    in the published dataset; its metadata names the embedder. Documents and ids are read as ingest
    reads them (columns of the usual names). The file appears when it is whole.

    Args:
        files: files, folders or globs, of any format that ingest reads.
        output: the Parquet file; one of that name is replaced.
        embedder: folder of a tune artifact.
        dim: width that the vectors are cut to, one that the embedder was trained for; None: whole.

    Returns:
        The number of documents embedded.

    Raises:
        RequestError: no file is named, a path is missing, the output has no folder, or the
            embedder was not trained for the width.
        CorpusError: something in the files is no document, or an id comes twice.
        ArtifactError: the embedder is damaged.
    """
    if not output.parent.is_dir():
        raise RequestError(f"--output {output}: there is no folder {output.parent}; create it")
    schema, tables = _embedded_tables(files, embedder, dim)
    return _write(output, schema, tables)


def embed_rows(
    files: Sequence[str], *, embedder: Path, dim: int | None = None
) -> list[dict[str, Any]]:
    """Embed every document of the files, whole: the rows that `embed_file` would write.

    Returns:
        ``doc_id, content_sha256`` in hexadecimal, ``n_tokens, n_windows, embedding`` of each
        document, as JSON values.

    Raises:
        RequestError, CorpusError, ArtifactError: as `embed_file`.

    Cost: all vectors in memory as Python numbers, about 32 bytes each.
    """
    _, tables = _embedded_tables(files, embedder, dim)
    rows = [row for table in tables for row in table.to_pylist()]
    return [row | {"content_sha256": row["content_sha256"].hex()} for row in rows]


def _embedded_tables(
    files: Sequence[str], embedder: Path, dim: int | None
) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """The columns, and the embedded documents of the files group by group."""
    if not files:
        raise RequestError("embed: no file is named; name at least one")
    loaded = Embedder.load(embedder)
    width = loaded.about.dim if dim is None else dim
    loaded.about.check_dim(width)
    schema = _schema(loaded.about, read_manifest(embedder).content_id, width)
    documents = _documents(IngestConfig.model_validate({"paths": list(files)}))
    return schema, _tables(documents, loaded, schema, width)


def _tables(
    documents: Iterator[Candidate], embedder: Embedder, schema: pa.Schema, dim: int
) -> Iterator[pa.Table]:
    while group := list(islice(documents, _DOCUMENTS_AT_ONCE)):
        yield _embedded(group, embedder, schema, dim)


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> int:
    """Write the tables into a file that appears under its name only when it is whole."""
    partial = path.with_name(path.name + ".partial")
    num_rows = 0
    try:
        with pq.ParquetWriter(
            partial, schema, compression="zstd", use_dictionary=False, write_page_checksum=True
        ) as writer:
            for table in tables:
                writer.write_table(table)
                num_rows += table.num_rows
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return num_rows


def _documents(config: IngestConfig) -> Iterator[Candidate]:
    ids: set[str] = set()
    cleaner = Cleaner(config)
    with tempfile.TemporaryDirectory() as scratch:
        for source in list_sources(config):
            for name, found in read_source(source, config, Path(scratch), ignore_progress):
                document = _document(found, name, cleaner)
                if document.doc_id in ids:
                    raise CorpusError(f"{name}: the id {document.doc_id!r} comes twice")
                ids.add(document.doc_id)
                yield document


def _document(found: Record | Refusal, name: str, cleaner: Cleaner) -> Candidate:
    if isinstance(found, Refusal):
        raise _refused(name, found.number, found.reason)
    _, document = cleaner.judge(found, name)
    if isinstance(document, Dropped):
        raise _refused(name, found.number, document.reason)
    return document


def _refused(name: str, number: int | None, reason: Reason) -> CorpusError:
    where = document_name(name, number)
    return CorpusError(f"{where} cannot be embedded ({reason.value}): mend it or leave it out")


def _schema(about: EmbedderSummary, embedder_id: str, dim: int) -> pa.Schema:
    description = {
        "column": "embedding",
        "dim": dim,
        "dtype": "float32",
        "normalised": True,
        "pooling": about.pooling,
        "layer": about.layer,
        "embedder_id": embedder_id,
    }
    fields = [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("content_sha256", pa.binary(32), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("n_windows", pa.int16(), nullable=False),
        *vector_fields(dim, _PLAIN),
    ]
    return pa.schema(fields, {METADATA_KEY: json.dumps(description, sort_keys=True).encode()})


def _embedded(
    documents: Sequence[Candidate], embedder: Embedder, schema: pa.Schema, dim: int
) -> pa.Table:
    tokens = embedder.tokenize([document.text for document in documents])
    vectors = embedder.embed(tokens)
    columns = {
        "doc_id": [document.doc_id for document in documents],
        "content_sha256": [document.content_sha256 for document in documents],
        "n_tokens": np.array([len(ids) for ids in tokens], dtype=np.int32),
        "n_windows": vectors.num_windows,
        **vector_columns(cut(vectors.vectors, dim), _PLAIN),
    }
    return pa.table(columns, schema=schema)
