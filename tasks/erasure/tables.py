"""Reads tables of artifacts for an erasure, every page verified."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import ArtifactError


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file, or some columns of it.

    Raises:
        ArtifactError: it is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(
            f"{path} cannot be read: bring its artifact back from a backup, or delete the "
            "artifact's folder; then erase again"
        ) from error
