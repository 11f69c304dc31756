"""Rewrites an embeddings dataset without the rows of documents, and without rows of others that
have the same vector."""

import json
from collections.abc import Set
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.erasure.tables import read_table
from tasks.export.dataset import SUMMARY
from tasks.export.parts import METADATA_KEY, PART_PREFIX, chunk_name, part_name, write_part
from tasks.store.artifact import Artifact


def rewrite_dataset(export: Artifact, doc_ids: Set[str], contents: Set[bytes], folder: Path) -> int:
    """Write new versions of the files that hold such rows; returns how many rows go.

    Args:
        export: the dataset.
        doc_ids: rows of these documents go.
        contents: and rows whose vector is that of such a content, as near duplicates have.
        folder: where the new versions go, under the same names.
    """
    about = json.loads((export.path / SUMMARY).read_text("utf-8"))
    num_parts = sum(name.startswith(PART_PREFIX) for name in about["files"])
    gone = [
        row
        for shard in range(num_parts)
        for row in _rewrite_shard(export.path, shard, doc_ids, contents, folder)
    ]
    if gone:
        _rewrite_summary(about, export.path, num_parts, gone, folder)
    return len(gone)


def _rewrite_shard(
    old: Path, shard: int, doc_ids: Set[str], contents: Set[bytes], folder: Path
) -> list[dict[str, Any]]:
    """Id and content of the rows that go from one part."""
    ids = pa.array(sorted(doc_ids), pa.string())
    hashes = pa.array(sorted(contents), pa.binary(32))
    part = read_table(old / part_name(shard))
    own_hashes = part["content_sha256"].cast(pa.binary(32))
    gone = pc.or_(pc.is_in(part["doc_id"], value_set=ids), pc.is_in(own_hashes, value_set=hashes))
    if not pc.any(gone).as_py():
        return []
    rows: list[dict[str, Any]] = part.select(["doc_id", "content_sha256"]).filter(gone).to_pylist()
    chunks = old / chunk_name(shard)
    if chunks.exists():
        table = read_table(chunks)
        named = pa.array([row["doc_id"] for row in rows], pa.string())
        stay = pc.invert(pc.is_in(table["doc_id"], value_set=named))
        _write(table.filter(stay), folder / chunk_name(shard))
    _write(part.filter(pc.invert(gone)), folder / part_name(shard))
    return rows


def _rewrite_summary(
    about: dict[str, Any], old: Path, num_parts: int, gone: list[dict[str, Any]], folder: Path
) -> None:
    """The totals again, of what is there now."""
    names = [part_name(shard) for shard in range(num_parts)]
    paths = [folder / name if (folder / name).exists() else old / name for name in names]
    parts = pa.concat_tables([read_table(path).select(["n_tokens", "n_windows"]) for path in paths])
    about["num_documents"] = parts.num_rows
    for name, column in (("num_tokens", "n_tokens"), ("num_windows", "n_windows")):
        about[name] = pc.sum(parts[column], min_count=0).as_py()
    contents = {row["content_sha256"] for row in gone}
    about["num_duplicates"] = max(0, about["num_duplicates"] - (len(gone) - len(contents)))
    chunks = [folder / name if (folder / name).exists() else old / name for name in about["files"]]
    about["num_chunks"] = sum(
        pq.read_metadata(path).num_rows for path in chunks if not path.name.startswith(PART_PREFIX)
    )
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    (folder / SUMMARY).write_text(text, "utf-8")


def _write(table: pa.Table, path: Path) -> None:
    metadata = dict(table.schema.metadata or {})
    label = json.loads(metadata[METADATA_KEY]) | {"num_rows": table.num_rows}
    metadata[METADATA_KEY] = json.dumps(label, sort_keys=True).encode()
    write_part(path, table.replace_schema_metadata(metadata))
