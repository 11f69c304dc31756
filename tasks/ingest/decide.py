"""Decides which candidates are kept: one for each id, each text and each group of near duplicates.

Everything is decided from the rows' light columns, in arrays with one element a row of the corpus.
Memory: about 100 bytes a row; signatures stay on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.corpus import SPLITS
from tasks.ingest.config import IngestConfig
from tasks.ingest.duplicates.near_groups import group_near
from tasks.ingest.duplicates.signature_files import SignatureFiles
from tasks.ingest.duplicates.signatures import Signatures, band_shape
from tasks.ingest.duplicates.similar_pairs import similar_pairs
from tasks.ingest.parts import Part
from tasks.ingest.reading.records import Reason
from tasks.ingest.rows import SIGNATURE_NAMES, fixed_bytes
from tasks.ingest.splits import draw_of, drawn_splits, training_draw_of

KEPT, DUPLICATE, DROPPED, QUARANTINED = "kept", "duplicate_of", "dropped", "quarantined"
STATUSES = (KEPT, DUPLICATE, DROPPED, QUARANTINED)
EXACT_DUPLICATE, NEAR_DUPLICATE = "exact_duplicate", "near_duplicate"
# What a decision adds to a row's own reason; 0 leaves it.
REASONS = (
    *(None, EXACT_DUPLICATE, NEAR_DUPLICATE),
    *(Reason.DUPLICATE_ID.value, Reason.BEYOND_TRAIN_FRAC.value),
)
_DROPS = pa.array([reason.value for reason in Reason if reason.is_drop])
# Of equal texts in several given splits, the one that is measured on stays.
_SPLIT_PRIORITY = {"test": 0, "validation": 1, "train": 2}

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.int8]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass
class Decisions:
    """Of every row of the corpus, in its order.

    Attributes:
        status: int8, index into `STATUSES`.
        reason: int8, index into `REASONS`.
        kept_row: int64, of a duplicate the row that is kept for it; -1 elsewhere.
        split: int8, of a kept row its index into `SPLITS`; -1 elsewhere.
    """

    status: Bytes
    reason: Bytes
    kept_row: Ints
    split: Bytes


_CODE_EXACT, _CODE_NEAR = REASONS.index(EXACT_DUPLICATE), REASONS.index(NEAR_DUPLICATE)
_CODE_ID = REASONS.index(Reason.DUPLICATE_ID.value)
_CODE_BEYOND = REASONS.index(Reason.BEYOND_TRAIN_FRAC.value)


@dataclass
class _Table:
    """Light columns of all rows; keys are two 64-bit halves."""

    refused: Bytes = field(default_factory=lambda: np.empty(0, np.int8))  # a status, or -1
    ids: Keys = field(default_factory=lambda: np.empty((0, 2), np.uint64))
    contents: Keys = field(default_factory=lambda: np.empty((0, 2), np.uint64))
    draws: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    sizes: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    priorities: Bytes = field(default_factory=lambda: np.empty(0, np.int8))
    has_words: Bools = field(default_factory=lambda: np.empty(0, np.bool_))


def decide(parts: Sequence[Part], config: IngestConfig, scratch: Path) -> Decisions:
    """Judge all rows together. The result depends on the rows and their order, nothing else.

    Of rows with one id the first is taken, others with another text are quarantined. Of equal
    texts the first is kept, of similar ones the longest, whatever the order of files (with
    `split_column`: of test before validation before train). A near duplicate is dropped only for a
    kept document that it is itself similar to. Splits are drawn for a whole group of near
    duplicates, by the smallest content hash in it, and so is who goes where `train_frac` is below
    1; duplicates of those go with them.

    Args:
        scratch: a folder that does not exist yet, for signatures.
    """
    signatures = _signature_files(config, scratch)
    table = _load(parts, config, signatures)
    size = len(table.refused)
    decisions = Decisions(
        status=np.where(table.refused >= 0, table.refused, 0).astype(np.int8),
        reason=np.zeros(size, np.int8),
        kept_row=np.full(size, -1, np.int64),
        split=np.full(size, -1, np.int8),
    )
    free = table.refused < 0
    free &= ~_refuse_ids(table, free, decisions)
    rank, first = _exact(table, free, decisions)
    group = _near(table, free & (first == np.arange(size)), decisions, signatures, config)
    _follow(decisions, first, free)
    speaker = _speakers(decisions, group, rank)
    _split(table, decisions, speaker, config)
    if config.train_frac < 1:
        _thin(table, decisions, speaker, config)
    return decisions


def _signature_files(config: IngestConfig, scratch: Path) -> SignatureFiles | None:
    if config.near_duplicate_threshold is None:
        return None
    scratch.mkdir(parents=True)
    return SignatureFiles(scratch, band_shape(config.near_duplicate_threshold)[0])


def _load(parts: Sequence[Part], config: IngestConfig, signatures: SignatureFiles | None) -> _Table:
    names = ["reason", "id_key", "content_sha256", "num_text_bytes", "given_split"]
    names += SIGNATURE_NAMES if signatures else ()
    columns: dict[str, list[Any]] = {name: [] for name in _Table.__dataclass_fields__}
    for part in parts:
        for batch in part.light(names):
            for name, values in _columns(batch, config, signatures).items():
                columns[name].append(values)
    if signatures:
        signatures.close()
    found = {name: np.concatenate(values) for name, values in columns.items() if values}
    return _Table(**found)


def _columns(
    batch: pa.RecordBatch, config: IngestConfig, signatures: SignatureFiles | None
) -> dict[str, Any]:
    refused = _refused(batch["reason"])
    contents = fixed_bytes(batch["content_sha256"])
    draws = [
        draw_of(digest, config.seed) if free else 0
        for digest, free in zip(batch["content_sha256"].to_pylist(), refused < 0, strict=True)
    ]
    has_words = np.zeros(batch.num_rows, np.bool_)
    if signatures:
        has_words = batch["has_words"].fill_null(False).to_numpy(zero_copy_only=False)
        bands = fixed_bytes(batch["bands"]).view(np.uint64)
        signatures.append(
            Signatures(bands, fixed_bytes(batch["sketch"]).view(np.uint16), has_words)
        )
    return {
        "refused": refused,
        "ids": fixed_bytes(batch["id_key"]).copy().view(np.uint64),
        "contents": contents[:, :16].copy().view(np.uint64),
        "draws": np.array(draws, np.uint64),
        "sizes": batch["num_text_bytes"].fill_null(0).to_numpy(zero_copy_only=False),
        "priorities": _priorities(batch["given_split"]),
        "has_words": has_words,
    }


def _refused(reasons: pa.Array) -> Bytes:
    is_drop = pa.compute.is_in(reasons, value_set=_DROPS).to_numpy(zero_copy_only=False)
    status = np.where(is_drop, STATUSES.index(DROPPED), STATUSES.index(QUARANTINED))
    return np.where(reasons.is_null().to_numpy(zero_copy_only=False), -1, status).astype(np.int8)


def _priorities(given: pa.Array) -> Bytes:
    return np.array([_SPLIT_PRIORITY.get(split, 0) for split in given.to_pylist()], np.int8)


def _refuse_ids(table: _Table, free: Bools, decisions: Decisions) -> Bools:
    """Quarantine rows whose id a row before them has with another text."""
    rows = np.flatnonzero(free)
    order = rows[np.lexsort((rows, table.ids[rows, 0], table.ids[rows, 1]))]
    first = order[_run_starts(table.ids[order])]
    clashes = (table.contents[order] != table.contents[first]).any(axis=1)
    refused = np.zeros(len(free), np.bool_)
    refused[order[clashes]] = True
    decisions.status[refused] = STATUSES.index(QUARANTINED)
    decisions.reason[refused] = _CODE_ID
    return refused


def _exact(table: _Table, free: Bools, decisions: Decisions) -> tuple[Ints, Ints]:
    """Mark all but one of each text; returns every row's rank by content, and that one's row."""
    rows = np.arange(len(free))
    by = (rows, table.priorities, table.contents[:, 0], table.contents[:, 1], ~free)
    order = np.lexsort(by)
    rank = np.empty(len(free), np.int64)
    rank[order] = rows
    first = rows.copy()
    order = order[: int(free.sum())]
    first[order] = order[_run_starts(table.contents[order])]
    again = free & (first != rows)
    decisions.status[again] = STATUSES.index(DUPLICATE)
    decisions.reason[again] = _CODE_EXACT
    decisions.kept_row[again] = first[again]
    return rank, first


def _run_starts(keys: Keys) -> Ints:
    """Of sorted keys (num_rows, 2), where each one's run of equal keys starts."""
    is_start = np.ones(len(keys), np.bool_)
    is_start[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    starts: Ints = np.maximum.accumulate(np.where(is_start, np.arange(len(keys)), 0))
    return starts


def _near(
    table: _Table,
    distinct: Bools,
    decisions: Decisions,
    signatures: SignatureFiles | None,
    config: IngestConfig,
) -> Ints:
    """Mark near duplicates among the distinct texts; returns each row's group."""
    size = len(distinct)
    if signatures is None or config.near_duplicate_threshold is None:
        return np.arange(size)
    candidates = distinct & table.has_words
    contents = (table.contents[:, 0], table.contents[:, 1])
    priority = np.empty(size, np.int64)
    priority[np.lexsort((*contents, -table.sizes, table.priorities))] = np.arange(size)
    pairs = similar_pairs(signatures, candidates, priority, config.near_duplicate_threshold)
    kept_of, group = group_near(pairs, priority, size)
    near = kept_of >= 0
    decisions.status[near] = STATUSES.index(DUPLICATE)
    decisions.reason[near] = _CODE_NEAR
    decisions.kept_row[near] = kept_of[near]
    return group


def _follow(decisions: Decisions, first: Ints, free: Bools) -> None:
    """Exact duplicates of a text that is not kept itself belong to the one kept for that."""
    onward = decisions.kept_row[first]
    moved = (decisions.reason == _CODE_EXACT) & (onward >= 0)
    decisions.kept_row[moved] = onward[moved]


def _speakers(decisions: Decisions, group: Ints, rank: Ints) -> Ints:
    """Of every row the one with the smallest content hash in its group; draws are made of that."""
    distinct = np.flatnonzero(
        (decisions.status == STATUSES.index(KEPT)) | (decisions.reason == _CODE_NEAR)
    )
    smallest = np.full(len(group), np.iinfo(np.int64).max)
    np.minimum.at(smallest, group[distinct], rank[distinct])
    row_of_rank = np.empty(len(rank), np.int64)
    row_of_rank[rank] = np.arange(len(rank))
    speaker = np.arange(len(rank))
    speaker[distinct] = row_of_rank[smallest[group[distinct]]]
    return speaker


def _split(table: _Table, decisions: Decisions, speaker: Ints, config: IngestConfig) -> None:
    kept = decisions.status == STATUSES.index(KEPT)
    if config.split_column is not None:
        codes = {_SPLIT_PRIORITY[name]: number for number, name in enumerate(SPLITS)}
        given = np.array([codes[priority] for priority in range(len(SPLITS))], np.int8)
        decisions.split[kept] = given[table.priorities[kept]]
        return
    draws = table.draws[speaker[kept]]
    decisions.split[kept] = drawn_splits(draws, config.validation_frac, config.test_frac)


def _thin(table: _Table, decisions: Decisions, speaker: Ints, config: IngestConfig) -> None:
    """Drop training documents beyond the fraction asked for, and their duplicates with them.

    Groups stand in the order of their draws; those that begin within the fraction stay whole.
    """
    train = np.flatnonzero(decisions.split == SPLITS.index("train"))
    contents = (table.contents[row].tobytes() for row in speaker[train])
    draws = np.array([training_draw_of(one, config.seed) for one in contents], np.uint64)
    num_before = np.searchsorted(np.sort(draws), draws)
    goes = np.zeros(len(speaker), np.bool_)
    goes[train[num_before >= config.train_frac * len(train)]] = True
    followers = np.flatnonzero(decisions.kept_row >= 0)
    goes[followers] = goes[decisions.kept_row[followers]]
    decisions.status[goes] = STATUSES.index(DROPPED)
    decisions.reason[goes] = _CODE_BEYOND
    decisions.kept_row[goes] = -1
    decisions.split[goes] = -1
