"""Writes what there is to say about a vocabulary: a page, tidy tables, and numbers to track."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus import Corpus
from tasks.stage import Metrics
from tasks.vocab.config import VocabConfig
from tasks.vocab.report.figures import Figures, draw
from tasks.vocab.report.findings import Findings, find
from tasks.vocab.report.page import report_page
from tasks.vocab.vocabulary import Vocabulary

QUOTING_FILES = ("report.html", "report.json")
"""Files that quote the corpus."""

PLOTS = "plots"
NUMBER_FILES = ("peers.parquet", "sizes.parquet", PLOTS)
"""Files and a folder of numbers alone; without merges there is no `sizes.parquet`."""

PEER_SCHEMA = pa.schema(
    [
        ("system", pa.string()),
        ("is_subject", pa.bool_()),
        ("num_train_bytes", pa.int64()),
        ("split", pa.string()),
        ("measure", pa.string()),
        ("value", pa.float64()),
    ]
)
SIZE_SCHEMA = pa.schema(
    [
        ("vocab_size", pa.int64()),
        ("split", pa.string()),
        ("measure", pa.string()),
        ("value", pa.float64()),
    ]
)
PEER_MEASURES = (
    "bytes_per_token",
    "fertility",
    "pieces_per_word",
    "words_kept_whole_frac",
    "unknown_word_frac",
    "renyi_efficiency",
    "unused_token_frac",
)


def report_on(vocabulary: Vocabulary, corpus: Corpus, config: VocabConfig, output: Path) -> Metrics:
    """Measure a vocabulary on validation text and write the report.

    Writes `report.html` and `report.json`, which quote words of the corpus, `peers.parquet`,
    `plots/*.svg`, and `sizes.parquet` where the vocabulary was learned by merging. Takes seconds,
    most of them for the Unigram peer, on any corpus; memory is bounded by the samples and the
    distinct pretokens.

    Args:
        vocabulary: what was learned or given.
        corpus: whose training split it was learned from.
        config: the stage's settings.
        output: the folder to write into.

    Returns:
        Numbers for the tracker; those of a peer begin with its name.

    Raises:
        CorpusError: the validation split has no words, or `vocab.affixes` or `vocab.conllu` holds
            nothing of its kind.
        RequestError: one of these files cannot be read.
    """
    findings = find(vocabulary, corpus, config)
    metrics = metrics_of(findings)
    _write(output / "report.json", json.dumps(_content(findings, metrics), indent=2) + "\n")
    figures = draw(findings)
    _write(output / "report.html", report_page(findings, figures))
    _write_plots(figures, output / PLOTS)
    _write_table(_peer_rows(findings), PEER_SCHEMA, output / "peers.parquet")
    if findings.merging is not None:
        rows = [vars(row) for row in findings.merging.curve.rows()]
        _write_table(rows, SIZE_SCHEMA, output / "sizes.parquet")
    return metrics


def metrics_of(findings: Findings) -> Metrics:
    """The numbers that are tracked."""
    metrics = {**findings.subject.measures, **findings.counts}
    if findings.merging is not None:
        curve = findings.merging.curve
        metrics["train_bytes_per_token"] = curve.train_bytes_per_token(curve.full)
    for system in findings.systems[1:]:
        metrics |= {
            f"{system.name}_{measure}": value
            for measure, value in system.measures.items()
            if measure in PEER_MEASURES or "_boundary_" in measure
        }
    assert all(math.isfinite(value) for value in metrics.values()), "a measure is not a number"
    return metrics


def _content(findings: Findings, metrics: Metrics) -> dict[str, Any]:
    merging = findings.merging
    content: dict[str, Any] = {
        "algorithm": findings.algorithm,
        "settings": findings.config.identity(),
        "metrics": _rounded(metrics),
        "num_validation_bytes": findings.sample.num_bytes,
        "num_validation_words": len(findings.sample.words),
        "peers": {
            "num_train_bytes": findings.num_train_bytes,
            "rows": [
                {"system": one.name, "is_subject": one.is_subject, **_rounded(one.measures)}
                for one in findings.systems
            ],
            "omitted": [vars(one) for one in findings.omitted],
        },
        "doubtful_cuts": [vars(doubt) for doubt in findings.doubts],
    }
    if merging is not None:
        content |= {
            "first_merges": merging.first_merges,
            "examples": merging.examples,
            "sizes": [
                {
                    "vocab_size": size,
                    "train_bytes_per_token": round(merging.curve.train_bytes_per_token(size), 6),
                    **_rounded(measured),
                }
                for size, measured in merging.curve.by_size.items()
            ],
            "num_repeated_entries": merging.num_repeated_entries,
            "num_broken_entries": merging.num_broken_entries,
            "naive_implementation": [
                {**vars(one), "figures": _rounded(one.figures)} for one in merging.pitfalls
            ],
        }
    return content


def _peer_rows(findings: Findings) -> list[dict[str, Any]]:
    return [
        {
            "system": system.name,
            "is_subject": system.is_subject,
            "num_train_bytes": system.num_train_bytes,
            "split": "treebank" if measure.startswith("conllu") else "validation",
            "measure": measure,
            "value": value,
        }
        for system in findings.systems
        for measure, value in system.measures.items()
    ]


def _rounded(values: Metrics) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


def _write_plots(figures: Figures, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, figure in {**figures.peers, **figures.sizes}.items():
        _write(folder / f"{name}.svg", figure.svg)


def _write_table(rows: list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, write_page_checksum=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
