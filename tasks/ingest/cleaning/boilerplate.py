"""Removes lines that recur across documents: banners, navigation, notices.

A line counts without its outer blanks. Lines of fewer than 10 characters are never boilerplate:
closing brackets, numbers, "Yes." and the like recur by nature. Lines are known by a 64-bit hash;
among a billion distinct lines the chance that any two share one is about 3 in 100.

Memory is bounded on any corpus: a counter spills sorted runs of hashes to files, and these are
added up range by range. Only the hashes of frequent lines are held together, 8 bytes each.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.ingest.cleaning.normalisation import collapse_blank_lines, whole_lines

MIN_LINE_CHARACTERS = 10
_SUFFIX = ".lines"
_ENTRIES_AT_ONCE = 2**20  # adding up takes some 40 bytes each
_BYTES_PER_ENTRY = 12  # a hash and a number of documents

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.uint32]


class LineCounter:
    """Counts the documents that each line stands in.

    Args:
        folder: where the runs go; made where it is missing.
        max_bytes: of memory, roughly.
    """

    def __init__(self, folder: Path, max_bytes: int = 64 * 2**20) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_hashes_bytes = max_bytes // 4  # spilling needs thrice as much again
        self._hashes = bytearray()
        self._num_runs = 0

    def add(self, text: str) -> None:
        """Count the distinct lines of one document."""
        self._hashes += _distinct_hashes(text)
        if len(self._hashes) >= self._max_hashes_bytes:
            self._spill()

    def close(self) -> Path:
        """Write what is not yet written; the folder is then ready for `frequent_lines`."""
        if self._hashes:
            self._spill()
        return self._folder

    def _spill(self) -> None:
        hashes = np.frombuffer(self._hashes, dtype="<u8")
        hashes.sort()
        starts = np.flatnonzero(_is_first(hashes))
        counts = np.diff(starts, append=len(hashes)).astype("<u4")
        with (self._folder / f"{self._num_runs:06d}{_SUFFIX}").open("wb") as file:
            hashes[starts].tofile(file)
            counts.tofile(file)
        self._hashes = bytearray()  # a new one: the array still looks into the old
        self._num_runs += 1


def frequent_lines(folders: Sequence[Path], min_documents: int) -> Hashes:
    """The sorted hashes of the lines that stand in at least `min_documents` documents.

    They do not depend on how documents were spread over counters, nor on any order.

    Args:
        folders: of `LineCounter`s that were closed.
    """
    runs = [_Run(path) for folder in folders for path in sorted(folder.glob(f"*{_SUFFIX}"))]
    found = [np.empty(0, np.uint64)]
    for hashes, counts in _by_range(runs):
        order = hashes.argsort()
        hashes, counts = hashes[order], counts[order]
        starts = np.flatnonzero(_is_first(hashes))
        sums = np.add.reduceat(counts, starts, dtype=np.uint64)
        found.append(hashes[starts[sums >= min_documents]])
    return np.concatenate(found)


def strip_boilerplate(text: str, frequent: Hashes) -> str:
    """The text without its frequent lines; empty where nothing else is left.

    Blank lines around a gap become one. A text without frequent lines is given back as it is.

    Args:
        frequent: from `frequent_lines`.
    """
    if not len(frequent):
        return text
    stripped = "".join([_strip_piece(piece, frequent) for piece in whole_lines(text)])
    return text if len(stripped) == len(text) else collapse_blank_lines(stripped)


def _strip_piece(piece: str, frequent: Hashes) -> str:
    lines = piece.split("\n")
    long_lines = [line for line in lines if len(line.strip()) >= MIN_LINE_CHARACTERS]
    hashes = np.frombuffer(_hash(map(str.strip, long_lines)), "<u8")
    places = frequent.searchsorted(hashes).clip(max=len(frequent) - 1)
    is_frequent = frequent[places] == hashes
    if not is_frequent.any():
        return piece
    gone = {line for line, goes in zip(long_lines, is_frequent.tolist(), strict=True) if goes}
    return "\n".join([line for line in lines if line not in gone])


def _distinct_hashes(text: str) -> bytes:
    parts = []
    for piece in whole_lines(text):
        lines = set(map(str.strip, piece.split("\n")))
        parts.append(_hash(line for line in lines if len(line) >= MIN_LINE_CHARACTERS))
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.frombuffer(b"".join(parts), "<u8")).tobytes()


def _hash(lines: Iterable[str]) -> bytes:
    """8 bytes a line, one after the other."""
    return b"".join([blake2b(line.encode(), digest_size=8).digest() for line in lines])


def _is_first(sorted_hashes: Hashes) -> npt.NDArray[np.bool_]:
    is_first = np.ones(len(sorted_hashes), dtype=np.bool_)
    np.not_equal(sorted_hashes[1:], sorted_hashes[:-1], out=is_first[1:])
    return is_first


class _Run:
    """A file of sorted distinct hashes and, after them, their numbers of documents."""

    def __init__(self, path: Path) -> None:
        self.num_entries = path.stat().st_size // _BYTES_PER_ENTRY
        self._path = path
        self._position = 0

    def take(self, last: int) -> tuple[Hashes, Counts]:
        """The next entries, up to and with the hash `last`."""
        # Opened each time: there may be more runs than a process may hold open files.
        hashes = np.memmap(self._path, "<u8", mode="r", shape=(self.num_entries,))
        start = self._position
        end = self._position = int(hashes.searchsorted(np.uint64(last), side="right"))
        offset = 8 * self.num_entries + 4 * start
        return np.array(hashes[start:end]), np.fromfile(
            self._path, "<u4", end - start, offset=offset
        )


def _by_range(runs: Sequence[_Run]) -> Iterator[tuple[Hashes, Counts]]:
    """All entries, so many at once as memory allows; those of one hash come together.

    Hashes are spread evenly, so cutting by their leading bits gives ranges of even size.
    """
    num_bits = (sum(run.num_entries for run in runs) // _ENTRIES_AT_ONCE).bit_length()
    for number in range(2**num_bits if runs else 0):
        parts = [run.take(((number + 1) << (64 - num_bits)) - 1) for run in runs]
        hashes, counts = map(np.concatenate, zip(*parts, strict=True))
        if len(hashes):
            yield hashes, counts
