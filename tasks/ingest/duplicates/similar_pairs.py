"""Finds the documents that say nearly the same, by signatures on disk."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.ingest.duplicates.packed_pairs import Int32s, pack, unpack
from tasks.ingest.duplicates.shingles import Bools, Ints, Uint64s
from tasks.ingest.duplicates.signature_files import SignatureFiles
from tasks.ingest.duplicates.signatures import NUM_PERMUTATIONS, Uint16s

_SMALL_BUCKET = 32
_MAX_LEADERS = 8
_COMPARED_AT_ONCE = 2**12
_PAIRS_IN_RUN = 2**16


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
                pairs = self._documents[np.stack(unpack(packed), axis=1)]
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
        self._found.add(pack(first[is_pair], second[is_pair]))
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
