"""Packs pairs of documents into single numbers that sort as the pairs should."""

import numpy as np
import numpy.typing as npt

from tasks.ingest.duplicates.shingles import Ints, Uint64s

Int32s = npt.NDArray[np.int32]
PAIRS_AT_ONCE = 2**14


def pack(earlier: Int32s, later: Int32s) -> Uint64s:
    """Pairs as numbers that sort by the later, then by the earlier."""
    return later.astype(np.uint64) << np.uint64(32) | earlier.astype(np.uint64)


def unpack(packed: Uint64s) -> tuple[Ints, Ints]:
    """The inverse of `pack`: the earlier, then the later."""
    earlier = packed & np.uint64(2**32 - 1)
    return earlier.astype(np.int64), (packed >> np.uint64(32)).astype(np.int64)
