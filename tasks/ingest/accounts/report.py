"""The page that says what became of every document, with an example for each reason."""

from collections.abc import Mapping, Sequence

from tasks.corpus import SPLITS
from tasks.ingest.accounts.ledger import Accounts
from tasks.ingest.decide import DROPPED, DUPLICATE, KEPT, QUARANTINED
from tasks.ingest.reading.records import Reason
from tasks.report.page import Section, Table, render_report

MAX_FILES = 100
_STATUSES = (KEPT, DUPLICATE, DROPPED, QUARANTINED)


def report_page(accounts: Accounts, cleaned: Mapping[str, int], carried: Sequence[str]) -> str:
    """The page as HTML text. It quotes the beginnings of documents that were not kept."""
    num_read, num_kept = accounts.statuses.total(), accounts.statuses[KEPT]
    sections = [_accounting(accounts), *_reasons(accounts), _files(accounts)]
    if cleaned:
        sections.append(_cleaning(cleaned))
    if carried:
        text = f"Not readable this time, their documents are older: {', '.join(carried[:20])}."
        sections.append(Section(title="Carried over", paragraphs=[text]))
    lead = f"{num_kept:,} of {num_read:,} documents are in the corpus; every other one is named."
    facts = {
        "files": f"{len(accounts.files):,}",
        "text": f"{accounts.num_text_bytes.total() / 1e6:,.1f} MB",
        "near duplicates": f"{accounts.num_near_duplicates:,}",
    }
    return render_report("Corpus", sections, lead=lead, facts=facts)


def file_rows(accounts: Accounts) -> list[dict[str, object]]:
    """Files by what became of their documents, those with most quarantined or dropped first."""

    def key(item: tuple[str, Mapping[str, int]]) -> tuple[int, int, str]:
        name, counts = item
        return -counts[QUARANTINED], -counts[DROPPED], name

    return [
        {
            "file": name,
            "read": sum(counts[status] for status in _STATUSES),
            **{status: counts[status] for status in _STATUSES},
        }
        for name, counts in sorted(accounts.files.items(), key=key)[:MAX_FILES]
    ]


def _accounting(accounts: Accounts) -> Section:
    rows = [(status, f"{accounts.statuses[status]:,}") for status in _STATUSES]
    rows.append(("read", f"{accounts.statuses.total():,}"))
    splits = [
        (split, f"{accounts.num_documents[split]:,}", f"{accounts.num_text_bytes[split]:,}")
        for split in SPLITS
    ]
    says = "Kept, duplicate, dropped and quarantined add up to what was read."
    return Section(
        title="Accounting",
        blocks=[
            Table(says=says, columns=("status", "documents"), rows=rows),
            Table(
                says="Vocabulary and training learn from train only.",
                columns=("split", "documents", "bytes of text"),
                rows=splits,
            ),
        ],
    )


def _reasons(accounts: Accounts) -> list[Section]:
    if not accounts.reasons:
        return []
    rows = []
    for reason, number in accounts.reasons.most_common():
        example = accounts.examples[reason][0]
        kind = DROPPED if Reason(reason).is_drop else QUARANTINED
        rows.append((reason, kind, example.doc_id, example.preview or "(no text)", f"{number:,}"))
    table = Table(
        says="One example stands for each reason; ledger.parquet has them all, "
        "quarantine.parquet where they are.",
        columns=("reason", "status", "example", "begins", "documents"),
        rows=rows,
        num_label_columns=4,
    )
    return [Section(title="What was not taken", blocks=[table])]


def _files(accounts: Accounts) -> Section:
    found = file_rows(accounts)
    more = len(accounts.files) - len(found)
    table = Table(
        says="Files with most quarantined or dropped documents come first"
        + (f"; {more:,} more are in files.parquet." if more else "."),
        columns=("file", "read", *_STATUSES),
        rows=[
            (str(row["file"]), *(f"{row[name]:,}" for name in ("read", *_STATUSES)))
            for row in found
        ],
        folded=len(found) > 20,
    )
    return Section(title="Files", blocks=[table])


def _cleaning(cleaned: Mapping[str, int]) -> Section:
    rows = [(name.replace("_", " "), f"{number:,}") for name, number in sorted(cleaned.items())]
    says = "Counted over all documents. Bidi marks, zero width and replacement characters stay."
    table = Table(says=says, columns=("what", "times"), rows=rows)
    return Section(title="What cleaning found", blocks=[table])
