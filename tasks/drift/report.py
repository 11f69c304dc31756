"""The page that shows what was compared and what chance alone would give."""

from tasks.drift.config import DriftConfig
from tasks.drift.findings import Findings, Row
from tasks.report.page import Section, Table, format_number, render_report

_DIGITS = 4


def report_page(found: Findings, config: DriftConfig) -> str:
    """The page as self-contained HTML; the same findings give the same bytes."""
    facts = {
        "new documents": f"{found.num_new_documents:,}",
        "compared": f"{found.num_documents:,}",
        "reference": f"{found.num_reference_documents:,}",
        "draws": f"{config.num_resamples:,}",
        "seed": str(config.seed),
    }
    sections = [_table_section(found)] if found.rows else []
    return render_report(
        "Are the new documents like the ones before?",
        [*sections, _method_section(config)],
        lead=f"{found.says[0].upper()}{found.says[1:]}.",
        facts=facts,
    )


def _table_section(found: Findings) -> Section:
    table = Table(
        says="New minus reference, beside what parts of the reference give against each other.",
        columns=[
            "measure",
            *("new", "reference", "difference"),
            *("parts of the reference, 95 %", "threshold", "share of parts no less", "alarm"),
        ],
        rows=[_cells(row) for row in found.rows],
        emphasized=frozenset(place for place, row in enumerate(found.rows) if row.alarm),
    )
    return Section(title="Measures", blocks=[table])


def _cells(row: Row) -> list[str]:
    means = [
        "" if mean is None else format_number(mean, _DIGITS) for mean in (row.new, row.reference)
    ]
    return [
        row.measure.replace("_", " "),
        *means,
        format_number(row.value, _DIGITS),
        f"{format_number(row.low, _DIGITS)} to {format_number(row.high, _DIGITS)}",
        format_number(row.threshold, _DIGITS),
        format_number(row.share_above, _DIGITS),
        "yes" if row.alarm else "no",
    ]


def _method_section(config: DriftConfig) -> Section:
    return Section(
        title="How it is measured",
        paragraphs=[
            "The reference are test documents of the corpus that the embedder was trained on: it "
            "did not learn from them. New are documents that were not there when documents were "
            "last compared, or at the training; where they are more than half of the reference, "
            "a part of them is drawn. Each document counts once: differences are of means over "
            "documents. A masked loss that falls is no drift. The embedding distance is the "
            "energy distance of the vectors, without pairs of a document with itself.",
            "Sets as large as the new one are drawn from the reference and compared with the rest "
            "of it; the same is done with new and reference documents shuffled together, and the "
            "higher threshold counts. Thresholds of all measures have one level: at most "
            f"{config.false_alarms_per_month:g} nights in 30 are above any of them by chance.",
        ],
    )
