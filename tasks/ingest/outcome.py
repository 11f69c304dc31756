"""Whether a corpus can serve, and the summary of one that can."""

import json
from collections.abc import Sequence
from typing import Any

from model.errors import CorpusError
from tasks.corpus import SPLITS
from tasks.ingest.config import IngestConfig
from tasks.ingest.ledger import DROPPED, DUPLICATE, KEPT, QUARANTINED, Ledger
from tasks.stage import Metrics


def check_outcome(ledger: Ledger, num_read: int, config: IngestConfig) -> None:
    """Check that every document is accounted for and that what was kept can serve.

    Raises:
        CorpusError: nothing kept, too much quarantined, or a split without documents.
    """
    assert num_read == ledger.statuses.total(), "a document was not accounted for"
    num_quarantined = ledger.statuses[QUARANTINED]
    if num_quarantined > config.max_quarantined_frac * num_read:
        raise CorpusError(
            f"{num_quarantined} of {num_read} documents cannot be read ({_reasons(ledger)}), for "
            f"example {', '.join(ledger.examples)}: mend the files, or raise "
            f"ingest.max_quarantined_frac ({config.max_quarantined_frac:g})"
        )
    if not ledger.statuses[KEPT]:
        raise CorpusError(
            f"the corpus is empty: of {num_read} documents none was kept ({_reasons(ledger)}): "
            "give txt, md, jsonl, csv or parquet files, plain or gzipped"
        )
    for split in SPLITS:
        if not ledger.num_documents[split]:
            raise CorpusError(_empty_split(split, ledger, config))


def _reasons(ledger: Ledger) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in ledger.reasons.most_common(5))


def _empty_split(split: str, ledger: Ledger, config: IngestConfig) -> str:
    kept = ledger.statuses[KEPT]
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


def metrics(ledger: Ledger, num_source_files: int, num_source_bytes: int) -> Metrics:
    """The stage's final numbers."""
    values = {
        **_counts(ledger),
        "num_text_bytes": ledger.num_text_bytes.total(),
        "num_source_files": num_source_files,
        "num_source_bytes": num_source_bytes,
    }
    for split in SPLITS:
        values[f"num_{split}_documents"] = ledger.num_documents[split]
        values[f"num_{split}_text_bytes"] = ledger.num_text_bytes[split]
    return {name: float(value) for name, value in values.items()}


def summary(
    ledger: Ledger,
    config: IngestConfig,
    metadata: Sequence[str],
    shards: Sequence[dict[str, str | int]],
) -> str:
    """The text of corpus.json."""
    values: dict[str, Any] = {
        "num_documents": {split: ledger.num_documents[split] for split in SPLITS},
        "num_text_bytes": {split: ledger.num_text_bytes[split] for split in SPLITS},
        **_counts(ledger),
        "reasons": dict(sorted(ledger.reasons.items())),
        "label_column": config.label_column,
        "title_column": config.title_column,
        "metadata_columns": list(metadata),
        "shards": list(shards),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _counts(ledger: Ledger) -> dict[str, int]:
    return {
        "num_read": ledger.statuses.total(),
        "num_kept": ledger.statuses[KEPT],
        "num_duplicate": ledger.statuses[DUPLICATE],
        "num_dropped": ledger.statuses[DROPPED],
        "num_quarantined": ledger.statuses[QUARANTINED],
    }
