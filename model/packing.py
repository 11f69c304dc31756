"""Packing documents into rows of fixed length, so that almost no slot is padding.

Documents longer than a row are cut into consecutive pieces. Rows are then filled one by one, each
time with the largest item that still fits; this gives the same rows as first-fit decreasing, and
needs no search over open rows. When small items run out, rows would end half empty (think of
documents just over half a row). So a budget of padding is kept, and a row that would exceed it is
closed by cutting a large item to the gap. Cuts leave no crumbs where it can be helped: both sides
keep at least `smallest_piece` tokens, and where one cut cannot, two shorter ones close the row.
(Ding et al. 2024, 2404.10830, pack whole documents best-fit; the cutting is ours.)

Letters: P documents, Q pieces, R rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[Any]
Int64s = npt.NDArray[np.int64]
Span = tuple[int, int]
"""Start and length in the concatenation of all documents."""

CUTS_FROM_FRAC = 0.004  # above this share of padding rows are closed by cuts,
PADDING_LIMIT_FRAC = 0.005  # and above this, which is the promise, even by cuts into crumbs


@dataclass(frozen=True)
class PackingPlan:
    """Which piece of which document stands in which row.

    Attributes:
        piece_document: int64 [Q], the document's number; pieces are in row order.
        piece_start: int64 [Q], the piece's first token in its document.
        piece_length: int64 [Q], tokens in the piece, without the overhead.
        row_offsets_R1: int64 [R + 1]; row r holds the pieces row_offsets_R1[r : r + 2].
        row_tokens: slots in a row.
        overhead_tokens: slots each piece takes beside its own tokens.
    """

    piece_document: Int64s
    piece_start: Int64s
    piece_length: Int64s
    row_offsets_R1: Int64s
    row_tokens: int
    overhead_tokens: int

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self.row_offsets_R1) - 1

    @property
    def num_tokens(self) -> int:
        """Tokens of documents in all rows, without the overhead."""
        return int(self.piece_length.sum())

    @property
    def fill_frac(self) -> float:
        """The share of slots that are not padding."""
        num_filled = self.num_tokens + self.overhead_tokens * len(self.piece_length)
        return num_filled / (self.num_rows * self.row_tokens) if self.num_rows else 1.0


class PackedTokens:
    """Rows of token pieces: a plan and the documents it was made for."""

    def __init__(self, plan: PackingPlan, documents: Sequence[Tokens]) -> None:
        self.plan = plan
        self.documents = documents

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return self.plan.num_rows

    def row(self, row: int) -> list[Tokens]:
        """The pieces of a row, each a view of its document's token ids, without special tokens."""
        plan = self.plan
        begin, end = plan.row_offsets_R1[row : row + 2]
        return [self._piece(piece) for piece in range(begin, end)]

    def _piece(self, piece: int) -> Tokens:
        start = self.plan.piece_start[piece]
        document = self.documents[int(self.plan.piece_document[piece])]
        return document[start : start + self.plan.piece_length[piece]]


def plan_packing(lengths_P: Int64s, *, row_tokens: int, overhead_tokens: int = 2) -> PackingPlan:
    """Plan rows of `row_tokens` slots for documents of the given numbers of tokens.

    Every token stands in exactly one piece, and a document's pieces are consecutive spans. At
    least 99.5 % of the slots hold tokens or overhead, up to one row of padding at the end aside,
    unless the documents are so short that no cut can do it. The plan is a function of the lengths
    alone. Empty documents get no piece. Cost: two microseconds a piece.

    Raises:
        ValueError: a row has no room for a token beside the overhead.
    """
    capacity = row_tokens - overhead_tokens
    if capacity < 1:
        raise ValueError(
            f"row_tokens is {row_tokens}, but {overhead_tokens} slots are special tokens"
        )
    offsets_P = np.cumsum(lengths_P) - lengths_P
    shelf = _Shelf(capacity)
    starts, lengths = _cut_to_rows(offsets_P, lengths_P, capacity, _smallest_piece(row_tokens))
    shelf.fill(starts, lengths)
    least_rows = -(-int(lengths.sum() + overhead_tokens * len(lengths)) // row_tokens)
    rows = _fill_rows(shelf, row_tokens, overhead_tokens, least_rows)
    return _plan_of(rows, offsets_P, row_tokens, overhead_tokens)


def _smallest_piece(row_tokens: int) -> int:
    """The least tokens a cut should leave on either side."""
    return max(1, row_tokens // 16)


def _cut_to_rows(
    offsets_P: Int64s, lengths_P: Int64s, capacity: int, smallest: int
) -> tuple[Int64s, Int64s]:
    """Starts (in the concatenation of all documents) and lengths of pieces no longer than a row.

    A last piece that would be a crumb takes tokens from the piece before it.
    """
    num_pieces_P = -(-lengths_P // capacity)
    document = np.repeat(np.arange(len(lengths_P)), num_pieces_P)
    number = np.arange(len(document)) - np.repeat(
        np.cumsum(num_pieces_P) - num_pieces_P, num_pieces_P
    )
    rest_P = lengths_P - (num_pieces_P - 1) * capacity
    borrowed_P = np.where((num_pieces_P > 1) & (rest_P < smallest), smallest - rest_P, 0)
    is_last = number == num_pieces_P[document] - 1
    starts = offsets_P[document] + number * capacity - is_last * borrowed_P[document]
    ends = np.append(starts[1:], offsets_P[-1:] + lengths_P[-1:])
    return starts, ends - starts


def _fill_rows(
    shelf: "_Shelf", row_tokens: int, overhead: int, least_rows: int
) -> list[list[Span]]:
    """Rows of spans that empty the shelf.

    The last two rows are not cut: that would only move padding from one to the other. Up to a
    row of it comes together there, so the others save as much.
    """
    rows: list[list[Span]] = []
    cuts_from_frac = max(0.0, CUTS_FROM_FRAC - 1 / max(1, least_rows))
    limits = ((cuts_from_frac, _smallest_piece(row_tokens)), (PADDING_LIMIT_FRAC, 1))
    num_padding = 0
    while shelf:
        row: list[Span] = []
        free = row_tokens
        while length := shelf.largest(free - overhead):
            row.append((shelf.take(length), length))
            free -= length + overhead
        num_slots = row_tokens * (len(rows) + 1)
        for most_frac, smallest in limits:
            is_last_but_one = shelf.num_tokens + overhead * shelf.num_spans <= row_tokens
            if not is_last_but_one and num_padding + free > most_frac * num_slots:
                free = _close(row, free, shelf, overhead, smallest)
        num_padding += free
        rows.append(row)
    return rows


def _close(row: list[Span], free: int, shelf: "_Shelf", overhead: int, smallest: int) -> int:
    """Fill the row's last slots with cut items, and return how many stay empty.

    Where the gap is too small for that, the row's smallest item makes way.
    """
    if _cut_one(row, free - overhead, shelf, smallest):
        return 0
    if _cut_two(row, free - 2 * overhead, shelf, smallest):
        return 0
    start, length = row.pop()
    shelf.put(start, length)
    wider = free + length + overhead
    if _cut_one(row, wider - overhead, shelf, smallest):
        return 0
    if _cut_two(row, wider - 2 * overhead, shelf, smallest):
        return 0
    row.append((shelf.take(length), length))
    return free


def _cut_one(row: list[Span], num_tokens: int, shelf: "_Shelf", smallest: int) -> bool:
    """Put the first `num_tokens` of the largest item into the row, if no crumb comes of it."""
    length = shelf.largest(shelf.capacity)
    margin = _margin(length, smallest)
    if not margin <= num_tokens <= length - margin:
        return False
    _cut(row, shelf.take(length), num_tokens, length, shelf)
    return True


def _cut_two(row: list[Span], num_tokens: int, shelf: "_Shelf", smallest: int) -> bool:
    """Put beginnings of the two largest items, `num_tokens` in all, into the row."""
    lengths = shelf.two_largest()
    if lengths is None:
        return False
    first, second = lengths
    margin, second_margin = _margin(first, smallest), _margin(second, smallest)
    least = max(margin, num_tokens - (second - second_margin))
    most = min(first - margin, num_tokens - second_margin)
    if least > most:
        return False
    share = min(max(num_tokens // 2, least), most)
    starts = shelf.take(first), shelf.take(second)
    _cut(row, starts[0], share, first, shelf)
    _cut(row, starts[1], num_tokens - share, second, shelf)
    return True


def _cut(row: list[Span], start: int, num_tokens: int, length: int, shelf: "_Shelf") -> None:
    """Put the beginning of a span into the row and the rest back on the shelf."""
    row.append((start, num_tokens))
    shelf.put(start + num_tokens, length - num_tokens)


def _margin(length: int, smallest: int) -> int:
    """The least tokens either side of a cut may have; short items cannot spare as many."""
    return min(smallest, max(1, length // 4))


def _plan_of(
    rows: list[list[Span]], offsets_P: Int64s, row_tokens: int, overhead: int
) -> PackingPlan:
    """The rows as arrays, with spans of the concatenation turned into spans of documents."""
    spans = np.array([span for row in rows for span in row], dtype=np.int64).reshape(-1, 2)
    piece_document = np.searchsorted(offsets_P, spans[:, 0], side="right") - 1
    return PackingPlan(
        piece_document=piece_document,
        piece_start=spans[:, 0] - offsets_P[piece_document],
        piece_length=spans[:, 1].copy(),
        row_offsets_R1=np.cumsum([0, *map(len, rows)], dtype=np.int64),
        row_tokens=row_tokens,
        overhead_tokens=overhead,
    )


class _Shelf:
    """Spans that wait for a row, by length; finds the largest that fits a gap.

    Which lengths are present is kept as the bits of one integer, so a search is a mask and a
    `bit_length`, whatever the row's size.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.num_tokens = 0
        self.num_spans = 0
        self._starts: list[list[int]] = [[] for _ in range(capacity + 1)]
        self._present = 0
        self._masks = [(1 << (length + 1)) - 1 for length in range(capacity + 1)]

    def fill(self, starts: Int64s, lengths: Int64s) -> None:
        """Put many spans at once, so that they come off in the order given."""
        order = np.argsort(lengths, kind="stable")
        distinct, ends = np.unique(lengths[order], return_counts=True)
        groups = np.split(order, np.cumsum(ends))  # and an empty one at the end
        for length, group in zip(distinct.tolist(), groups, strict=False):
            self._starts[length] = starts[group[::-1]].tolist()
            self._present |= 1 << length
        self.num_spans += len(lengths)
        self.num_tokens += int(lengths.sum())

    def put(self, start: int, length: int) -> None:
        """Put one span; of equal lengths the last one put comes off first."""
        self._starts[length].append(start)
        self._present |= 1 << length
        self.num_spans += 1
        self.num_tokens += length

    def take(self, length: int) -> int:
        """The start of a span of this length, taken off."""
        starts = self._starts[length]
        start = starts.pop()
        self.num_spans -= 1
        self.num_tokens -= length
        if not starts:
            self._present &= ~(1 << length)
        return start

    def largest(self, limit: int) -> int:
        """The largest length present up to a limit; 0 when there is none."""
        if limit < 1:
            return 0
        return max(0, (self._present & self._masks[min(limit, self.capacity)]).bit_length() - 1)

    def two_largest(self) -> tuple[int, int] | None:
        """The lengths of the two largest spans, or nothing when there are fewer."""
        first = self.largest(self.capacity)
        second = first if len(self._starts[first]) > 1 else self.largest(first - 1)
        return (first, second) if second else None

    def __bool__(self) -> bool:
        return self.num_spans > 0
