"""The columns of the embeddings dataset, fixed by the public contract."""

from collections.abc import Sequence

import pyarrow as pa

from model.errors import CorpusError
from tasks.corpus import is_reserved
from tasks.export.config import ExportConfig

_ARROW_TYPES = {"float32": pa.float32(), "float16": pa.float16()}


def refuse_reserved(metadata_columns: Sequence[str]) -> None:
    """Check the user's columns against the dataset's own. Ingest refuses them first.

    Raises:
        CorpusError: a name is taken.
    """
    taken = [name for name in metadata_columns if is_reserved(name)]
    if taken:
        raise CorpusError(
            f"metadata column {taken[0]!r} has a name that the embeddings dataset uses itself: "
            "rename it in the source files"
        )


def document_schema(metadata: Sequence[pa.Field], dim: int, config: ExportConfig) -> pa.Schema:
    """Columns of part-*.parquet: who, how much, the vectors, then the user's metadata."""
    own = [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("content_sha256", pa.binary(32), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("n_windows", pa.int16(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
    ]
    return pa.schema([*own, *vector_fields(dim, config), *metadata])


def chunk_schema(dim: int, config: ExportConfig) -> pa.Schema:
    """Columns of chunk-*.parquet: which tokens of which document, and their vector."""
    own = [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("chunk_index", pa.int32(), nullable=False),
        pa.field("start_token", pa.int32(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
    ]
    return pa.schema([*own, *vector_fields(dim, config)])


def vector_fields(dim: int, config: ExportConfig) -> list[pa.Field]:
    """The vector's columns in the forms asked for."""
    fields = [pa.field("embedding", pa.list_(_ARROW_TYPES[config.dtype], dim), nullable=False)]
    if config.int8:
        fields.append(pa.field("embedding_int8", pa.list_(pa.int8(), dim), nullable=False))
        fields.append(pa.field("scale", pa.float32(), nullable=False))
    if config.binary:
        fields.append(pa.field("embedding_binary", pa.binary(-(-dim // 8)), nullable=False))
    return fields


def vector_names(config: ExportConfig) -> list[str]:
    """Names of these columns."""
    return [field.name for field in vector_fields(1, config)]
