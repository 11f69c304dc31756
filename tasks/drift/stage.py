"""The drift stage: new documents beside those the embedder was examined on."""

import json
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from model.drift import compare
from tasks.corpus import Corpus
from tasks.drift.config import DriftConfig
from tasks.drift.definition import ANSWER, DRIFT, LEARNED, NEW, REPORT, SINCE, TABLE
from tasks.drift.findings import Findings, Row, rows_of, too_few
from tasks.drift.measures import NUM_TWO_SIDED, Gauge
from tasks.drift.report import report_page
from tasks.drift.sample import Sample, draw
from tasks.runtime.devices import pick_device
from tasks.runtime.threads import hold_threads_steady
from tasks.stage import Metrics, StageContext

__all__ = ["DRIFT", "run"]

_SCHEMA = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),
        *(
            pa.field(name, pa.float64(), nullable=False)
            for name in ("value", "low", "high", "threshold", "share_above")
        ),
        pa.field("new", pa.float64()),
        pa.field("reference", pa.float64()),
        pa.field("num_documents", pa.int64(), nullable=False),
        pa.field("num_reference_documents", pa.int64(), nullable=False),
        pa.field("alarm", pa.bool_(), nullable=False),
    ]
)


def run(context: StageContext) -> Metrics:
    """Compare the new documents with the reference; write the table, the answer and the page.

    Returns:
        Of each measure its mean over new documents, its shift and its threshold; the numbers of
        documents; ``alarm`` as 1 or 0.

    Raises:
        ArtifactError: an input is damaged.
    """
    hold_threads_steady()
    config: DriftConfig = context.config
    found = _find(context, config)
    table = pa.Table.from_pylist([asdict(row) for row in found.rows], schema=_SCHEMA)
    pq.write_table(table, context.output / TABLE, write_page_checksum=True)
    text = json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n"
    (context.output / ANSWER).write_text(text, "utf-8")
    (context.output / REPORT).write_text(report_page(found, config), "utf-8")
    return _metrics(found)


def _find(context: StageContext, config: DriftConfig) -> Findings:
    """Draw, and where that is enough, measure and compare."""
    learned, new, since = (Corpus(context.inputs[name].path) for name in (LEARNED, NEW, SINCE))
    reference = draw(learned, config.num_documents, seed=config.seed, split="test")
    most = len(reference) // 2
    fresh = draw(new, most, seed=config.seed, without=since)
    reason = too_few(len(fresh) if most else fresh.num_candidates, len(reference))
    if reason:
        return _findings(fresh, len(fresh), len(reference), reason)
    gauge = Gauge(
        vocabulary=context.inputs["vocab"].file("tokenizer.json"),
        encoder=context.inputs["pretrain"].path,
        embedder=context.inputs["tune"].path,
        dataset=context.inputs["export"].path,
        config=config,
        device=pick_device(config.device),
    )
    before, after = gauge.measure(reference), gauge.measure(fresh)
    num_new, num_reference = len(after.numbers_SX), len(before.numbers_SX)
    reason = too_few(num_new, num_reference)  # some may have had no token to guess
    if reason or num_reference - num_new < 2:
        return _findings(fresh, num_new, num_reference, reason or "too few to tell")
    comparison = compare(
        before.numbers_SX,
        after.numbers_SX,
        before.vectors_SD,
        after.vectors_SD,
        num_two_sided=NUM_TWO_SIDED,
        num_resamples=config.num_resamples,
        false_alarm_frac=config.false_alarm_frac,
        seed=config.seed,
    )
    rows = rows_of(comparison, after, before)
    return _findings(fresh, num_new, num_reference, "", rows)


def _findings(
    fresh: Sample, num_new: int, num_reference: int, reason: str, rows: list[Row] | None = None
) -> Findings:
    return Findings(
        num_new_documents=fresh.num_candidates,
        num_documents=num_new,
        num_reference_documents=num_reference,
        too_few=reason,
        rows=rows or [],
    )


def _metrics(found: Findings) -> Metrics:
    metrics = {
        "num_new_documents": float(found.num_new_documents),
        "num_documents": float(found.num_documents),
        "num_reference_documents": float(found.num_reference_documents),
        "alarm": float(found.alarm),
    }
    for row in found.rows:
        if row.new is None:
            metrics[row.measure] = row.value
        else:
            metrics |= {row.measure: row.new, f"{row.measure}_shift": row.value}
        metrics[f"{row.measure}_threshold"] = row.threshold
    return metrics
