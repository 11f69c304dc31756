"""Content hashes of documents as numpy bytes, which sort and compare as wholes."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.bytes_]


def hashes_of(column: pa.ChunkedArray) -> Hashes:
    """A column of 32-byte hashes as numpy bytes, which sort and compare as wholes.

    numpy ignores zeros at the end, so two of equal length are equal only if all bytes are.
    """
    joined = column.combine_chunks()
    data = joined.buffers()[1]
    if data is None:
        return np.empty(0, dtype="S32")
    return np.frombuffer(data, dtype="S32", count=len(joined), offset=32 * joined.offset)
