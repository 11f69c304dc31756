"""Finds the documents that say nearly the same, by signatures on disk."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tasks.ingest.shingles import Bools, Ints, Uint64s
from tasks.ingest.signatures import NUM_PERMUTATIONS, Signatures, Uint16s

_SMALL_BUCKET = 32
_MAX_LEADERS = 8
_COMPARED_AT_ONCE = 2**12
_PAIRS_AT_ONCE = 2**14
_PAIRS_IN_RUN = 2**16

Int32s = npt.NDArray[np.int32]


class SignatureFiles:
    """Signatures in the order they are appended: a file of keys for each band, one of sketches.

    Args:
        folder: where the files go, and those of a search. It is made where there is none, and
            removed by whoever owns it; files of an earlier run are overwritten.
    """

    def __init__(self, folder: Path, num_bands: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.num_bands = num_bands
        self.num_documents = 0
        paths = [folder / f"band-{number:03d}.u64" for number in range(num_bands)]
        self._bands = [path.open("wb") for path in paths]
        self._sketches = (folder / "sketches.u16").open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def append(self, signatures: Signatures) -> None:
        """Write the signatures of the documents that come next.

        Raises:
            ValueError: they have another number of bands.
        """
        num_documents, num_bands = signatures.bands.shape
        if num_bands != self.num_bands:
            raise ValueError(f"got {num_bands} bands for files of {self.num_bands}")
        for file, keys in zip(self._bands, signatures.bands.T, strict=True):
            file.write(keys.tobytes())
        self._sketches.write(signatures.sketch.tobytes())
        self.num_documents += num_documents

    def close(self) -> None:
        """Finish writing; what was written stays readable."""
        for file in (*self._bands, self._sketches):
            file.close()

    def band(self, number: int) -> Uint64s:
        """The keys of a band, uint64 (num_documents,)."""
        file = self._bands[number]
        if not file.closed:
            file.flush()
        return np.fromfile(file.name, np.uint64)

    def sketches(self, indices: npt.NDArray[np.integer]) -> Uint16s:
        """The sketches of some documents, uint16 (num_indices, 128); no others are read."""
        if not len(indices):
            return np.empty((0, NUM_PERMUTATIONS), np.uint16)
        if not self._sketches.closed:
            self._sketches.flush()
        shape = (self.num_documents, NUM_PERMUTATIONS)
        # Mapped anew each time, so that what was read before does not count as memory in use.
        return np.asarray(np.memmap(self._sketches.name, np.uint16, "r", shape=shape)[indices])


def similar_pairs(files: SignatureFiles, candidates: Bools, rank: Ints, threshold: float) -> Ints:
    """Pairs of documents whose estimated similarity is at least the threshold.

    Compared are documents that share a key. Up to 32 with one key are compared each with each;
    of more, each with the next by rank and with leaders: the first by rank, then the first of
    those not similar to it, and so on up to eight. So time never grows with the square of copies.

    Args:
        candidates: bool (num_documents,), which documents take part. Those without words must
            not, and exact copies need not.
        rank: int64 (num_documents,), different for each candidate; what is compared with what
            depends on it, never on the order of documents. Give the priority that `group_near`
            gets: then leaders are the ones that are kept, and copies of them are all dropped.

    Returns:
        int64 (num_pairs, 2), mapped from a file in the folder: the document of lower rank, then
        the other; sorted by the rank of the other, then of the first; each pair once.
    """
    search = _Search(files, candidates, rank, threshold)
    for band in range(files.num_bands):
        search.compare_band(band)
    return search.write_pairs(files.folder / "pairs.i64")


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


class _Search:
    """Compares documents, which are named here by their place in the order of rank."""

    def __init__(
        self, files: SignatureFiles, candidates: Bools, rank: Ints, threshold: float
    ) -> None:
        documents = np.flatnonzero(candidates)
        order = np.argsort(rank[documents], kind="stable")
        self._documents = documents[order].astype(np.int32)
        self._files = files
        self._min_equal = math.ceil(threshold * NUM_PERMUTATIONS - 1e-9)
        self._found = _PairRuns(files.folder / "pair-runs.u64")

    def compare_band(self, band: int) -> None:
        """Note the similar pairs among documents that share a key of this band."""
        buckets, places = _shared(self._files.band(band)[self._documents])
        buckets, places = self._compare_small(buckets, places)
        self._compare_apart(1, buckets, places)
        for _ in range(_MAX_LEADERS):
            if len(buckets):
                buckets, places = self._compare_to_first(buckets, places)
                buckets, places = self._compare_small(buckets, places)

    def write_pairs(self, path: Path) -> Ints:
        """The pairs noted, see `similar_pairs`."""
        num_pairs = 0
        with path.open("wb") as file:
            for packed in self._found.read():
                pairs = self._documents[np.stack(_unpack(packed), axis=1)]
                file.write(pairs.astype(np.int64).tobytes())
                num_pairs += len(pairs)
        if not num_pairs:
            return np.empty((0, 2), np.int64)
        return np.memmap(path, np.int64, "r", shape=(num_pairs, 2))

    def _compare_small(self, buckets: Int32s, places: Int32s) -> tuple[Int32s, Int32s]:
        """Compare each with each in small buckets, and leave the rows of others."""
        sizes = _extents(buckets)[1]
        is_big = np.repeat(sizes > _SMALL_BUCKET, sizes)
        small_buckets, small_places = buckets[~is_big], places[~is_big]
        for distance in range(1, _SMALL_BUCKET):
            self._compare_apart(distance, small_buckets, small_places)
        return buckets[is_big], places[is_big]

    def _compare_apart(self, distance: int, buckets: Int32s, places: Int32s) -> None:
        rows = np.flatnonzero(buckets[distance:] == buckets[:-distance])
        for start in range(0, len(rows), _COMPARED_AT_ONCE):
            part = rows[start : start + _COMPARED_AT_ONCE]
            self._compare(places[part], places[part + distance])

    def _compare_to_first(self, buckets: Int32s, places: Int32s) -> tuple[Int32s, Int32s]:
        """Compare with the first of the bucket, and leave the rows that are not similar."""
        firsts = np.repeat(*_extents(buckets))
        is_left = np.empty(len(buckets), np.bool_)
        for start in range(0, len(buckets), _COMPARED_AT_ONCE):
            part = slice(start, start + _COMPARED_AT_ONCE)
            is_left[part] = ~self._compare(places[firsts[part]], places[part])
        return buckets[is_left], places[is_left]

    def _compare(self, first: Int32s, second: Int32s) -> Bools:
        """Which rows are similar; they are noted, unless a document meets itself."""
        is_equal = self._sketches(first) == self._sketches(second)
        num_equal = np.bitwise_count(is_equal.view(np.uint64)).sum(axis=1, dtype=np.int64)
        is_similar: Bools = num_equal >= self._min_equal
        is_pair = is_similar & (first != second)
        self._found.add(_pack(first[is_pair], second[is_pair]))
        return is_similar

    def _sketches(self, places: Int32s) -> Uint16s:
        return self._files.sketches(self._documents[places])


class _PairRuns:
    """Packed pairs, as many as there may be, in a file: added in any order, read in theirs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run_ends = [0]
        self._waiting: list[Uint64s] = []
        self._num_waiting = 0
        path.write_bytes(b"")

    def add(self, packed: Uint64s) -> None:
        if len(packed):
            self._waiting.append(packed)
            self._num_waiting += len(packed)
        if self._num_waiting >= _PAIRS_IN_RUN:
            self._write_run()

    def read(self) -> Iterator[Uint64s]:
        """All pairs, ascending, each once, in arrays of bounded length."""
        if self._num_waiting:
            self._write_run()
        if not self._run_ends[-1]:
            return
        packed = np.asarray(np.memmap(self._path, np.uint64, "r"))
        runs = np.split(packed, self._run_ends[1:-1])
        num_ahead = _PAIRS_IN_RUN // len(runs) + 1
        while runs:
            # Whatever is not above the least of the last ones is in sight in every run.
            limit = min(run[:num_ahead][-1] for run in runs)
            counts = [int(np.searchsorted(run[:num_ahead], limit, "right")) for run in runs]
            ready = [run[:count] for run, count in zip(runs, counts, strict=True)]
            yield _distinct(np.concatenate(ready))
            rests = [run[count:] for run, count in zip(runs, counts, strict=True)]
            runs = [rest for rest in rests if len(rest)]

    def _write_run(self) -> None:
        run = _distinct(np.concatenate(self._waiting))
        with self._path.open("ab") as file:
            file.write(run.tobytes())
        self._run_ends.append(self._run_ends[-1] + len(run))
        self._waiting, self._num_waiting = [], 0


class _Edges:
    """Pairs, packed by their places in the order of priority, in arrays of bounded length."""

    def __init__(self, pairs: Ints, order: Int32s) -> None:
        self.places = np.empty(len(order), np.int32)
        self.places[order] = np.arange(len(order), dtype=np.int32)
        self._pairs = pairs

    def __iter__(self) -> Iterator[Uint64s]:
        for start in range(0, len(self._pairs), _PAIRS_AT_ONCE):
            places = self.places[self._pairs[start : start + _PAIRS_AT_ONCE]]
            yield _pack(places.min(axis=1), places.max(axis=1))

    def ascending(self) -> Iterator[Uint64s]:
        """The same in the order of the later document, then of the earlier."""
        if self._is_ascending():
            yield from self
            return
        everything = np.concatenate(list(self))
        everything.sort()
        for start in range(0, len(everything), _PAIRS_AT_ONCE):
            yield everything[start : start + _PAIRS_AT_ONCE]

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
            first, second = (least[places] for places in _unpack(packed))
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
        for earlier, later in zip(*map(np.ndarray.tolist, _unpack(packed)), strict=True):
            if not is_dropped[earlier] and not is_dropped[later]:
                is_dropped[later] = True
                dropped.append(later)
                kept.append(earlier)
        kept_of[order[dropped]] = order[kept]
    return kept_of


def _pack(earlier: Int32s, later: Int32s) -> Uint64s:
    """Pairs as numbers that sort by the later, then by the earlier."""
    return later.astype(np.uint64) << np.uint64(32) | earlier.astype(np.uint64)


def _unpack(packed: Uint64s) -> tuple[Ints, Ints]:
    earlier = packed & np.uint64(2**32 - 1)
    return earlier.astype(np.int64), (packed >> np.uint64(32)).astype(np.int64)


def _distinct(packed: Uint64s) -> Uint64s:
    packed.sort()
    is_new = np.ones(len(packed), np.bool_)
    is_new[1:] = packed[1:] != packed[:-1]
    return packed[is_new]


def _shared(keys: Uint64s) -> tuple[Int32s, Int32s]:
    """The places whose key is not theirs alone, by key, then in order, and for each the number
    of its bucket: of the places with this key."""
    places = np.argsort(keys, kind="stable").astype(np.int32)
    keys = keys[places]
    is_next = np.zeros(len(keys) + 1, np.bool_)
    is_next[1:-1] = keys[1:] == keys[:-1]
    is_shared = is_next[1:] | is_next[:-1]
    buckets = np.cumsum(~is_next[:-1], dtype=np.int32)
    return buckets[is_shared], places[is_shared]


def _extents(buckets: Int32s) -> tuple[Int32s, Int32s]:
    """The first row of each bucket, and how many rows it has."""
    is_first = np.ones(len(buckets), np.bool_)
    is_first[1:] = buckets[1:] != buckets[:-1]
    starts = np.flatnonzero(is_first).astype(np.int32)
    return starts, np.diff(starts, append=np.int32(len(buckets)))
