"""Decides which of similar documents to keep, and which belong together."""

from collections.abc import Iterator

import numpy as np

from tasks.ingest.duplicates.packed_pairs import PAIRS_AT_ONCE, Int32s, pack, unpack
from tasks.ingest.duplicates.shingles import Ints, Uint64s


def group_near(pairs: Ints, priority: Ints, num_documents: int) -> tuple[Ints, Ints]:
    """Decide which documents to keep, and which belong together.

    In the order of priority, lowest number first, a document is dropped if and only if it has a
    pair with one that is kept.

    Args:
        pairs: int64 (num_pairs, 2), of different documents. Where they are not sorted by
            priority, as `similar_pairs` sorts by rank, each takes 16 bytes of memory.
        priority: int64 (num_documents,), different for each document.

    Returns:
        kept_of: int64 (num_documents,), of a dropped document the kept one that it has a pair
            with, of several the one of lowest priority number; -1 for those kept.
        group: int64 (num_documents,), the document of lowest priority number among all that
            pairs connect it with, directly or not; itself where it has no pairs.
    """
    order = np.argsort(priority, kind="stable").astype(np.int32)
    edges = _Edges(pairs, order)
    least = _least_connected(edges, num_documents)
    group = order[least[edges.places]].astype(np.int64)
    del least
    return _choose_kept(edges, order), group


class _Edges:
    """Pairs, packed by their places in the order of priority, in arrays of bounded length."""

    def __init__(self, pairs: Ints, order: Int32s) -> None:
        self.places = np.empty(len(order), np.int32)
        self.places[order] = np.arange(len(order), dtype=np.int32)
        self._pairs = pairs

    def __iter__(self) -> Iterator[Uint64s]:
        for start in range(0, len(self._pairs), PAIRS_AT_ONCE):
            places = self.places[self._pairs[start : start + PAIRS_AT_ONCE]]
            yield pack(places.min(axis=1), places.max(axis=1))

    def ascending(self) -> Iterator[Uint64s]:
        """The same in the order of the later document, then of the earlier."""
        if self._is_ascending():
            yield from self
            return
        everything = np.concatenate(list(self))
        everything.sort()
        for start in range(0, len(everything), PAIRS_AT_ONCE):
            yield everything[start : start + PAIRS_AT_ONCE]

    def _is_ascending(self) -> bool:
        last = np.uint64(0)
        for packed in self:
            if packed[0] < last or (packed[1:] < packed[:-1]).any():
                return False
            last = packed[-1]
        return True


def _least_connected(edges: _Edges, num_documents: int) -> Int32s:
    """For each place the least place that edges connect it with, directly or not."""
    least = np.arange(num_documents, dtype=np.int32)
    is_done = False
    while not is_done:
        is_done = True
        for packed in edges:
            first, second = (least[places] for places in unpack(packed))
            is_apart = first != second
            if is_apart.any():
                is_done = False
                low, high = np.minimum(first, second), np.maximum(first, second)
                np.minimum.at(least, high[is_apart], low[is_apart])
        while (least[least] != least).any():
            least = least[least]
    return least


def _choose_kept(edges: _Edges, order: Int32s) -> Ints:
    """See `kept_of` of `group_near`."""
    kept_of = np.full(len(order), -1, np.int64)
    is_dropped = bytearray(len(order))
    for packed in edges.ascending():
        dropped, kept = [], []
        # Sorted by the later, so that it is settled by now whether the earlier is kept.
        for earlier, later in zip(*map(np.ndarray.tolist, unpack(packed)), strict=True):
            if not is_dropped[earlier] and not is_dropped[later]:
                is_dropped[later] = True
                dropped.append(later)
                kept.append(earlier)
        kept_of[order[dropped]] = order[kept]
    return kept_of
