"""Signs texts so that similar ones have similar signatures, by MinHash."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from tasks.ingest.duplicates.shingles import Bools, ShingleRows, Uint64s, mix, multipliers, shingle

NUM_PERMUTATIONS = 128
_MIN_RECALL = 0.95
_SEED = 1

Uint16s = npt.NDArray[np.uint16]
Uint32s = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Signatures:
    """What is kept of documents to find the similar ones among them.

    Attributes:
        bands: uint64 (num_documents, num_bands): documents with an equal key may be similar.
        sketch: uint16 (num_documents, 128): the fraction of equal places estimates the Jaccard
            similarity of two documents' runs of five words, within 0.04 (standard error).
        has_words: bool (num_documents,): whether there are five or more, else nothing is to be
            compared.
    """

    bands: Uint64s
    sketch: Uint16s
    has_words: Bools


def band_shape(threshold: float) -> tuple[int, int]:
    """The number of bands, and of minima in each: a pair shares a band with a probability of
    0.95 or more at the threshold, and as seldom as possible below it.

    Args:
        threshold: a Jaccard similarity between 0.5 and 0.99.
    """
    for num_rows in range(NUM_PERMUTATIONS, 0, -1):
        for num_bands in range(1, NUM_PERMUTATIONS // num_rows + 1):
            if 1 - (1 - threshold**num_rows) ** num_bands >= _MIN_RECALL:
                return num_bands, num_rows
    raise AssertionError(f"no bands find pairs of similarity {threshold}")


def sign(texts: Sequence[str], threshold: float) -> Signatures:
    """Signatures of texts, in their order; about 1 KB of memory for each while it runs.

    They are the same in every process and on every machine, and no threads are started.
    """
    minima = np.full((len(texts), NUM_PERMUTATIONS), 2**32 - 1, np.uint32)
    has_words = np.zeros(len(texts), np.bool_)
    for rows in shingle(texts):
        here = slice(rows.first_text, rows.first_text + len(rows.offsets) - 1)
        # The minima of all windows of a text are the least of each.
        np.minimum(minima[here], _minima(rows), out=minima[here])
        has_words[here] |= np.diff(rows.offsets) > 0
    scrambled = minima * np.uint32(0x9E3779B1)
    sketch = (scrambled >> np.uint32(16)).astype(np.uint16)
    return Signatures(_band_keys(minima, *band_shape(threshold)), sketch, has_words)


def _minima(rows: ShingleRows) -> Uint32s:
    # With 256 rows or 65,536 shingles the library would start threads, which outlive the call
    # and take processors from our workers. Rows are fewer, by their contract.
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        rows.hashes, rows.offsets, NUM_PERMUTATIONS, _SEED
    )
    values = itertools.chain.from_iterable(matrix.to_rows())
    num_rows = len(rows.offsets) - 1
    minima = np.fromiter(values, np.uint32, num_rows * NUM_PERMUTATIONS)
    return minima.reshape(num_rows, NUM_PERMUTATIONS)


def _band_keys(minima: Uint32s, num_bands: int, num_rows: int) -> Uint64s:
    keys = np.empty((len(minima), num_bands), np.uint64)
    for band in range(num_bands):
        factors = multipliers(num_rows, seed=3 + band)
        values = minima[:, band * num_rows : (band + 1) * num_rows] * factors
        keys[:, band] = values.sum(axis=1, dtype=np.uint64) + np.uint64(band)
    return mix(keys)
