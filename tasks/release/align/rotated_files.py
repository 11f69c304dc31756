"""Writes a dataset anew with its vectors rotated; all else of it stays as it was.

The vectors are of neither embedder any more, so what the files say of themselves names the
rotation, and nobody takes them for vectors that the new embedder's queries can be compared with.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from model.errors import ArtifactError
from model.json_files import parse_json
from model.procrustes import Block, Matrix, Vectors
from tasks.export.config import ExportConfig
from tasks.export.dataset import SUMMARY, read_description
from tasks.export.parts import METADATA_KEY, write_part
from tasks.export.vectors import vector_columns

ROTATION = "rotation.safetensors"


def write_rotation(rotation: Mapping[Block, Matrix], folder: Path) -> str:
    """``rotation.safetensors``: float32 matrices named ``block_0_64``, by first number and end.

    A row vector's numbers of a block, times the block's matrix, are the aligned numbers.

    Returns:
        The SHA-256 of the file.
    """
    tensors = {
        f"block_{first}_{end}": np.ascontiguousarray(matrix_BB, dtype=np.float32)
        for (first, end), matrix_BB in rotation.items()
    }
    save_file(tensors, folder / ROTATION)
    return hashlib.sha256((folder / ROTATION).read_bytes()).hexdigest()


def write_rotated(
    source: Path,
    output: Path,
    *,
    rotate: Callable[[Vectors], Vectors],
    said: Mapping[str, Any],
) -> Iterator[str]:
    """Every Parquet file of the dataset with its vectors rotated, then ``dataset.json``.

    Args:
        source: folder of an export.
        output: where to.
        rotate: takes and gives float32 [N, D].
        said: what the files say beside, or instead of, what the source says of itself.

    Yields:
        The name of each file that is written.

    Raises:
        ArtifactError: a file is damaged.

    Cost: memory of one file.
    """
    description = read_description(source)
    forms = {name: description[name] for name in ("dtype", "int8", "binary")}
    config = ExportConfig(**forms)
    for path in sorted([*source.glob("part-*.parquet"), *source.glob("chunk-*.parquet")]):
        write_part(output / path.name, _rotated_table(path, rotate, said, config))
        yield path.name
    text = json.dumps({**description, **said}, indent=2, ensure_ascii=False)
    (output / SUMMARY).write_text(text + "\n", "utf-8")


def _rotated_table(
    path: Path,
    rotate: Callable[[Vectors], Vectors],
    said: Mapping[str, Any],
    config: ExportConfig,
) -> pa.Table:
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        description = parse_json(table.schema.metadata[METADATA_KEY])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}): run export again") from None
    column = table["embedding"].combine_chunks()
    flat = column.flatten().to_numpy().astype(np.float32)
    vectors_ND = flat.reshape(len(table), column.type.list_size)
    made = vector_columns(rotate(vectors_ND), config)
    columns = [made.get(name, table[name]) for name in table.column_names]
    label = json.dumps({**description, **said}, sort_keys=True).encode()
    return pa.Table.from_arrays(columns, schema=table.schema.with_metadata({METADATA_KEY: label}))
