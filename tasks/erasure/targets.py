"""Finds what is to be erased: the documents asked for in every corpus of a workspace, their exact
twins, and those that are nearly the same."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from model.errors import RequestError
from tasks.erasure.tables import read_table
from tasks.store.artifact import Artifact
from tasks.tombstones import Tombstones, tombstone_of

KEPT, DUPLICATE, ERASED = "kept", "duplicate_of", "erased"
ROWS = "rows/part-*.parquet"
_COLUMNS = ["doc_id", "source", "content_sha256", "reason", "status", "kept_doc_id", "split"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Targets:
    """What is erased.

    Attributes:
        asked: ids as the user gave them.
        doc_ids: whatever has one of these ids goes, in whatever version.
        contents: whatever has one of these content hashes goes.
        numbers: ids that ingest made of a file's name and a number, of documents that it refused
            unread; what has one of these and no content goes, and leaves no tombstone.
    """

    asked: frozenset[str] = frozenset()
    doc_ids: frozenset[str] = frozenset()
    contents: frozenset[bytes] = frozenset()
    numbers: frozenset[str] = frozenset()

    @property
    def tombstones(self) -> Tombstones:
        """What is kept of them."""
        return tombstone_of(self.doc_ids, self.contents)

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """Which rows of a table go; it has the columns `doc_id` and `content_sha256`."""
        ids = pa.array(sorted(self.doc_ids), pa.string())
        contents = pa.array(sorted(self.contents), pa.binary(32))
        by_id = pc.is_in(table["doc_id"], value_set=ids)
        by_content = pc.is_in(table["content_sha256"].cast(pa.binary(32)), value_set=contents)
        numbers = pa.array(sorted(self.numbers), pa.string())
        by_number = pc.and_(
            pc.is_in(table["doc_id"], value_set=numbers), pc.is_null(table["content_sha256"])
        )
        return pc.or_(pc.or_(by_id, by_content), by_number)

    def to_json(self) -> dict[str, list[str]]:
        """As JSON values."""
        return {
            "asked": sorted(self.asked),
            "doc_ids": sorted(self.doc_ids),
            "contents": sorted(content.hex() for content in self.contents),
            "numbers": sorted(self.numbers),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Sequence[str]]) -> "Targets":
        """What `to_json` gave."""
        contents = frozenset(map(bytes.fromhex, values["contents"]))
        numbers = frozenset(values.get("numbers", ()))  # those of earlier versions have none
        return cls(frozenset(values["asked"]), frozenset(values["doc_ids"]), contents, numbers)

    def __or__(self, other: "Targets") -> "Targets":
        return Targets(
            self.asked | other.asked,
            self.doc_ids | other.doc_ids,
            self.contents | other.contents,
            self.numbers | other.numbers,
        )


@dataclass
class Found:
    """What goes from one corpus.

    Attributes:
        gone: by id, the row of each document; erased ones of before are not among them.
        orphans: ids of near duplicates that stay, of documents that go.
    """

    corpus: Artifact
    gone: dict[str, Row] = field(default_factory=dict)
    orphans: frozenset[str] = frozenset()

    @cached_property
    def num_learned(self) -> int:
        """How many of them models were trained on."""
        return sum(row["status"] == KEPT and row["split"] == "train" for row in self.gone.values())


def rows_of(corpus: Artifact) -> pa.Table:
    """One row for each input document of a corpus, without text.

    Raises:
        RequestError: an earlier version made the corpus, which kept no such rows.
        ArtifactError: they are damaged.
    """
    paths = sorted(corpus.path.glob(ROWS))
    if not paths:
        raise RequestError(
            f"{corpus.ref.path} was made by an earlier version, which documents cannot be erased "
            "from: delete its folder, or `corpusmith gc --yes --older-than-days 0` if nothing "
            "needs it"
        )
    return pa.concat_tables([read_table(path, _COLUMNS) for path in paths])


def find_targets(
    corpora: Sequence[Artifact], asked: Iterable[str], *, with_duplicates: bool
) -> tuple[Targets, list[str]]:
    """What has to go for these ids, and the ids of near duplicates that would stay.

    Args:
        corpora: all of the workspace, newest first.
        asked: what documents are called. An id that ingest made of a file's name and a number is
            looked up in the newest corpus that has it, and found by its content elsewhere: in
            other versions of the file, another document may have the number.
        with_duplicates: take near duplicates too.

    Raises:
        RequestError: no corpus has a document of such an id.
    """
    tables = [rows_of(corpus) for corpus in corpora]
    targets = Targets()
    wanted, near = frozenset(asked), frozenset[str]()
    while wanted - targets.asked:
        for doc_id in sorted(wanted - targets.asked):
            targets |= _target(tables, doc_id)
        near = frozenset(name for table in tables for name in _near(table, targets))
        if with_duplicates:
            wanted, near = wanted | near, frozenset()
    return targets, sorted(near)


def find_in(corpus: Artifact, targets: Targets) -> Found:
    """What goes from a corpus."""
    table = rows_of(corpus)
    gone = {row["doc_id"]: row for row in _going(table, targets)}
    return Found(corpus, gone, frozenset(_orphans(table, gone)))


def _target(tables: Sequence[pa.Table], doc_id: str) -> Targets:
    """An id, and the contents it has, or the content it means."""
    found = Targets(asked=frozenset([doc_id]))
    is_known = False
    for table in tables:
        rows = table.filter(pc.equal(table["doc_id"], doc_id)).to_pylist()
        is_known = is_known or bool(rows)
        here = [row for row in rows if row["reason"] != ERASED]
        contents = frozenset(row["content_sha256"] for row in here if row["content_sha256"])
        if rows and all(_is_numbered(row) for row in rows):  # older corpora do not say what it is
            refused = frozenset(row["doc_id"] for row in here if not row["content_sha256"])
            return found | Targets(contents=contents, numbers=refused)
        found |= Targets(doc_ids=frozenset([doc_id] if rows else []), contents=contents)
    if not is_known:
        raise RequestError(
            f"erase: no corpus of the workspace has a document {doc_id!r}: `corpusmith search` and "
            "ledger.parquet say what documents are called"
        )
    return found


def _is_numbered(row: Row) -> bool:
    """Whether the id is none of the user's, but says the place in a file."""
    return bool(re.fullmatch(re.escape(row["source"]) + r"#\d+", row["doc_id"]))


def _going(table: pa.Table, targets: Targets) -> list[Row]:
    stays = pc.equal(pc.fill_null(table["reason"], ""), ERASED)
    rows: list[Row] = table.filter(pc.and_not(targets.mask(table), stays)).to_pylist()
    return rows


def _orphans(table: pa.Table, gone: Mapping[str, Row]) -> Iterator[str]:
    kept = [doc_id for doc_id, row in gone.items() if row["status"] == KEPT]
    for row in _with_kept(table, kept):
        if row["doc_id"] not in gone and row["status"] == DUPLICATE:
            yield row["doc_id"]


def _near(table: pa.Table, targets: Targets) -> Iterator[str]:
    """Ids of what is nearly the same as something that goes, and stays."""
    gone = {row["doc_id"]: row for row in _going(table, targets)}
    of = {row["kept_doc_id"] for row in gone.values() if row["kept_doc_id"]}
    for row in _with_kept(table, sorted(of)):
        if row["doc_id"] not in gone:
            yield row["doc_id"]


def _with_kept(table: pa.Table, kept_doc_ids: Sequence[str]) -> list[Row]:
    wanted = pa.array(kept_doc_ids, pa.string())
    rows: list[Row] = table.filter(pc.is_in(table["kept_doc_id"], value_set=wanted)).to_pylist()
    return rows
