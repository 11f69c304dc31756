"""Whether a corpus can serve, and the summary of one that can."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from model.errors import CorpusError
from tasks.corpus import SPLITS
from tasks.ingest.accounts.ledger import Accounts
from tasks.ingest.columns import Columns
from tasks.ingest.config import IngestConfig
from tasks.ingest.decide import DROPPED, DUPLICATE, KEPT, QUARANTINED
from tasks.ingest.reading.records import Reason
from tasks.ingest.writing_plan import WrittenPart
from tasks.stage import Metrics


def check_outcome(accounts: Accounts, config: IngestConfig) -> None:
    """Check that what was kept can serve.

    Raises:
        CorpusError: nothing kept, too much quarantined, or a split without documents.
    """
    num_read, num_quarantined = accounts.statuses.total(), accounts.statuses[QUARANTINED]
    if num_quarantined > config.max_quarantined_frac * num_read:
        raise CorpusError(
            f"{num_quarantined} of {num_read} documents cannot be read ({_reasons(accounts)}), for "
            f"example {_examples(accounts)}: mend the files, or raise "
            f"ingest.max_quarantined_frac ({config.max_quarantined_frac:g})"
        )
    if not accounts.statuses[KEPT]:
        raise CorpusError(
            f"the corpus is empty: of {num_read} documents none was kept ({_reasons(accounts)}): "
            "give files of text, tables with a text column, or archives of these"
        )
    for split in SPLITS:
        if not accounts.num_documents[split]:
            raise CorpusError(_empty_split(split, accounts, config))


def _reasons(accounts: Accounts) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in accounts.reasons.most_common(5))


def _examples(accounts: Accounts) -> str:
    named = [
        f"{example.doc_id[:100]} ({reason})"
        for reason, _ in accounts.reasons.most_common()
        for example in accounts.examples[reason]
    ]
    return ", ".join(named[:3])


def _empty_split(split: str, accounts: Accounts, config: IngestConfig) -> str:
    kept = accounts.statuses[KEPT]
    if config.split_column:
        return (
            f"column {config.split_column!r} gives no kept document to {split}: mark some so, "
            "or leave ingest.split_column out to have splits drawn"
        )
    advice = (
        "lower ingest.validation_frac and ingest.test_frac"
        if split == "train"
        else f"raise ingest.{split}_frac"
    )
    return (
        f"the corpus is too small for the split: of {kept} distinct documents none fell to "
        f"{split}: add documents, or {advice}"
    )


def metrics(accounts: Accounts, num_source_files: int, num_source_bytes: int) -> Metrics:
    """The stage's final numbers."""
    values = {
        **counts(accounts),
        "num_text_bytes": accounts.num_text_bytes.total(),
        "num_source_files": num_source_files,
        "num_source_bytes": num_source_bytes,
    }
    for split in SPLITS:
        values[f"num_{split}_documents"] = accounts.num_documents[split]
        values[f"num_{split}_text_bytes"] = accounts.num_text_bytes[split]
    for reason, number in accounts.reasons.items():
        kind = "dropped" if Reason(reason).is_drop else "quarantined"
        values[f"num_{kind}_{reason}"] = number
    return {name: float(value) for name, value in values.items()}


def summary(
    accounts: Accounts,
    columns: Columns,
    parts: Sequence[WrittenPart],
    cleaned: Mapping[str, int],
    carried_over: Sequence[str],
) -> str:
    """The text of corpus.json."""
    values: dict[str, Any] = {
        "num_documents": {split: accounts.num_documents[split] for split in SPLITS},
        "num_text_bytes": {split: accounts.num_text_bytes[split] for split in SPLITS},
        **counts(accounts),
        "reasons": dict(sorted(accounts.reasons.items())),
        "cleaned": dict(sorted(cleaned.items())),
        "carried_over": list(carried_over),
        "label_column": columns.label,
        "title_column": columns.title,
        "metadata_columns": list(columns.metadata),
        "shards": [
            {"name": part.documents, "num_documents": part.num_kept}
            for part in parts
            if part.documents
        ],
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def counts(accounts: Accounts) -> dict[str, int]:
    """How many documents were read, and of each status."""
    return {
        "num_read": accounts.statuses.total(),
        "num_kept": accounts.statuses[KEPT],
        "num_duplicate": accounts.statuses[DUPLICATE],
        "num_near_duplicate": accounts.num_near_duplicates,
        "num_dropped": accounts.statuses[DROPPED],
        "num_quarantined": accounts.statuses[QUARANTINED],
    }
