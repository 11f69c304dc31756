"""Rewrites a corpus without documents: their texts, hashes and signatures go, their names stay in
its ledger as dropped, for the reason that they were erased."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.erasure.tables import read_table
from tasks.erasure.targets import DUPLICATE, ERASED, Found, Targets
from tasks.ingest.accounts.bookkeeping import file_counts
from tasks.ingest.accounts.ledger import Accounts, write_ledger
from tasks.ingest.accounts.outcome import counts
from tasks.ingest.accounts.report import report_page
from tasks.ingest.decide import DROPPED
from tasks.ingest.parts import IN_DOCUMENTS, IN_WITHHELD, NOWHERE
from tasks.ingest.prior import FILES_NAME, READING_NAME
from tasks.ingest.reading.records import Reason
from tasks.store.artifact import Artifact
from tasks.store.canonical import short_hash

_ROWS_PER_GROUP = 1024
_EMPTIED = (  # columns of a row that say something of its text
    *("preview", "id_key", "content_sha256", "metadata_key", "num_text_bytes", "given_split"),
    *("decision", "kept_doc_id", "split"),
)
_BODIES = (("documents", IN_DOCUMENTS), ("withheld", IN_WITHHELD))
_ZEROED = ("bands", "sketch")


def rewrite_corpus(found: Found, targets: Targets, folder: Path) -> None:
    """Write new versions of the files that hold what goes into `folder`, under the same names."""
    corpus = found.corpus
    reading = json.loads((corpus.path / READING_NAME).read_text("utf-8"))
    for part in (part for group in reading["groups"] for part in group["parts"]):
        _rewrite_part(corpus, part, found, targets, folder)
    (folder / READING_NAME).write_text(json.dumps(reading, ensure_ascii=False) + "\n", "utf-8")
    parts = [part["rows"] for group in reading["groups"] for part in group["parts"]]
    newest = [folder / name if (folder / name).exists() else corpus.path / name for name in parts]
    accounts = write_ledger(newest, folder)
    summary = _rewrite_summary(corpus, accounts, folder)
    page = report_page(accounts, summary["cleaned"], summary["carried_over"])
    (folder / "report.html").write_text(page, "utf-8")
    _rewrite_files(corpus, accounts, folder)


def texts_of(found: Found, targets: Targets) -> Iterator[str]:
    """The texts of what goes."""
    folder = found.corpus.path
    reading = json.loads((folder / READING_NAME).read_text("utf-8"))
    for part in (part for group in reading["groups"] for part in group["parts"]):
        rows = read_table(folder / part["rows"])
        gone = _gone(rows, targets)
        for name, place in _BODIES:
            here = gone.filter(pc.equal(rows["place"], place))
            if part[name] and pc.any(here).as_py():
                yield from read_table(folder / part[name])["text"].filter(here).to_pylist()


def _gone(rows: pa.Table, targets: Targets) -> pa.ChunkedArray:
    was_erased = pc.equal(pc.fill_null(rows["reason"], ""), ERASED)
    return pc.and_not(targets.mask(rows), was_erased)


def _rewrite_part(
    corpus: Artifact, part: dict[str, Any], found: Found, targets: Targets, folder: Path
) -> None:
    """The rows of one part, and where texts go, those; `part` is brought up to date."""
    rows = read_table(corpus.path / part["rows"])
    gone = _gone(rows, targets)
    orphans = pa.array(sorted(found.orphans), pa.string())
    orphaned = pc.and_(
        pc.and_not(pc.is_in(rows["doc_id"], value_set=orphans), gone),
        pc.equal(rows["status"], DUPLICATE),
    )
    if not pc.any(pc.or_(gone, orphaned)).as_py():
        return
    for name, place in _BODIES:
        if part[name]:
            here = gone.filter(pc.equal(rows["place"], place))
            if pc.any(here).as_py():
                body = read_table(corpus.path / part[name]).filter(pc.invert(here))
                _write(body, folder / part[name])
    kept_before = pc.sum(pc.equal(rows["place"], IN_DOCUMENTS)).as_py()
    rows = _blanked(_released(rows, orphaned), gone)
    part["num_kept"] -= kept_before - pc.sum(pc.equal(rows["place"], IN_DOCUMENTS)).as_py()
    for key in ("texts_key", "rows_key"):  # nobody shall take these files for what they were
        part[key] = short_hash([ERASED, part[key]])
    _write(rows, folder / part["rows"])


def _released(rows: pa.Table, orphaned: pa.ChunkedArray) -> pa.Table:
    """Near duplicates of what goes; the next ingest judges them anew."""
    values = {"status": DROPPED, "decision": Reason.TWIN_ERASED.value, "kept_doc_id": None}
    return _with(rows, orphaned, values)


def _blanked(rows: pa.Table, gone: pa.ChunkedArray) -> pa.Table:
    values: dict[str, Any] = {"status": DROPPED, "reason": ERASED, "place": NOWHERE}
    values |= dict.fromkeys(_EMPTIED)
    for name in _ZEROED:
        if name in rows.column_names:
            values |= {"has_words": False, name: bytes(rows.schema.field(name).type.byte_width)}
    return _with(rows, gone, values)


def _with(rows: pa.Table, mask: pa.ChunkedArray, values: Mapping[str, Any]) -> pa.Table:
    """The rows, with other values in those columns where the mask is true."""
    for name, value in values.items():
        number = rows.schema.get_field_index(name)
        kind = rows.schema.field(number).type
        column = pc.if_else(mask, pa.scalar(value, kind), rows[name])
        rows = rows.set_column(number, rows.schema.field(number), column)
    return rows


def _rewrite_summary(corpus: Artifact, accounts: Accounts, folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((corpus.path / "corpus.json").read_text("utf-8"))
    for split in values["num_documents"]:
        values["num_documents"][split] = accounts.num_documents[split]
        values["num_text_bytes"][split] = accounts.num_text_bytes[split]
    values |= counts(accounts) | {"reasons": dict(sorted(accounts.reasons.items()))}
    for shard in values["shards"]:
        path = folder / shard["name"]
        if path.exists():
            shard["num_documents"] = pq.read_metadata(path).num_rows
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    (folder / "corpus.json").write_text(text, "utf-8")
    return {"cleaned": {}, "carried_over": []} | values


def _rewrite_files(corpus: Artifact, accounts: Accounts, folder: Path) -> None:
    table = read_table(corpus.path / FILES_NAME)
    rows = [row | file_counts(accounts.files[row["name"]]) for row in table.to_pylist()]
    _write(pa.Table.from_pylist(rows, table.schema), folder / FILES_NAME)


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        _without_unused(table),
        path,
        row_group_size=_ROWS_PER_GROUP,
        compression="zstd",
        write_page_checksum=True,
    )


def _without_unused(table: pa.Table) -> pa.Table:
    """Dictionaries go on holding values that no row has any more; they are made anew."""
    for number, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            values = table[number].cast(column.type.value_type)
            table = table.set_column(number, column, values.dictionary_encode().cast(column.type))
    return table
