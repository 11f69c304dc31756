"""Unit vectors as Arrow columns, checked before they are written.

Shape letters: T rows, D embedding width.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.errors import ArtifactError
from tasks.export.config import ExportConfig

_MAX_NORM_ERROR = {"float32": 1e-5, "float16": 1e-3}


def vector_columns(vectors_TD: NDArray[np.float32], config: ExportConfig) -> dict[str, pa.Array]:
    """The columns of `tasks.export.columns.vector_fields`.

    In embedding_binary, dimension d is bit ``7 - d % 8`` of byte ``d // 8`` (the order of
    `numpy.packbits`), set where the float32 number is above zero; bits past the width are zero.

    Raises:
        ArtifactError: a vector, as it would be stored, is not finite or not of unit length.
    """
    stored_TD = vectors_TD.astype(config.dtype)
    _check_unit_length(stored_TD)
    columns = {"embedding": _fixed_lists(stored_TD)}
    if config.int8:
        int8_TD, scale_T = quantize(vectors_TD)
        columns |= {"embedding_int8": _fixed_lists(int8_TD), "scale": pa.array(scale_T)}
    if config.binary:
        columns["embedding_binary"] = _fixed_bytes(np.packbits(vectors_TD > 0, axis=1))
    return columns


def stored_vectors(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """The numbers of a float32 column that `vector_columns` made."""
    joined = column.combine_chunks()
    flat: NDArray[np.float32] = joined.flatten().to_numpy()
    return flat.reshape(len(joined), joined.type.list_size)


def quantize(vectors_TD: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric 8-bit numbers and a scale a row: ``int8 * scale`` is within scale / 2.

    Returns:
        int8_TD in -127..127, and scale_T float32, the largest absolute value of a row over 127.
    """
    scale_T = np.abs(vectors_TD).max(axis=1) / np.float32(127)
    int8_TD = np.rint(vectors_TD / scale_T[:, None]).astype(np.int8)
    return int8_TD, scale_T


def _check_unit_length(stored_TD: NDArray[np.floating]) -> None:
    norms_T = np.linalg.norm(stored_TD.astype(np.float64), axis=1)
    # Written so that a norm that is not a number fails too.
    is_unit_T = np.abs(norms_T - 1) <= _MAX_NORM_ERROR[stored_TD.dtype.name]
    if not is_unit_T.all():
        raise ArtifactError(
            f"{int((~is_unit_T).sum())} of {len(norms_T)} vectors are not of unit length in "
            f"{stored_TD.dtype.name}: nothing was published, train the embedder again"
        )


def _fixed_lists(values_TD: NDArray[np.generic]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values_TD).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values_TD.shape[1])


def _fixed_bytes(values_TD: NDArray[np.uint8]) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(values_TD))
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(values_TD.shape[1]), len(values_TD), [None, data]
    )
