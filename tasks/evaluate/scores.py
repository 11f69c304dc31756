"""Scores and differences between systems, and the tidy tables they are kept in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.retrieval import Floats, MeanEstimate, bootstrap_difference, bootstrap_mean
from tasks.system_names import EMBEDDER, HALF_DOCUMENT

HARD_HALF_DOCUMENT = "hard_half_document"
CLASSIFICATION = "classification"
SIMILARITY_PAIRS = "similarity_pairs"
RELEVANCE = "relevance"
GEOMETRY = "geometry"
TASKS = (
    *(HALF_DOCUMENT, HARD_HALF_DOCUMENT, CLASSIFICATION),
    *(SIMILARITY_PAIRS, RELEVANCE, GEOMETRY),
)

_NUMBERS = [
    pa.field("value", pa.float64(), nullable=False),
    pa.field("low", pa.float64(), nullable=False),
    pa.field("high", pa.float64(), nullable=False),
    pa.field("n", pa.int64(), nullable=False),
]
_NAMES = [pa.field(name, pa.string(), nullable=False) for name in ("system", "task", "measure")]
SCORES_SCHEMA = pa.schema([*_NAMES, *_NUMBERS])
DIFFERENCES_SCHEMA = pa.schema(
    [_NAMES[0], pa.field("baseline", pa.string(), nullable=False), *_NAMES[1:], *_NUMBERS]
)
OUTCOMES_SCHEMA = pa.schema(
    [
        *_NAMES,
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What one system did on each query of one task, under one measure: values_Q, float64."""

    system: str
    task: str
    measure: str
    values_Q: Floats


@dataclass(frozen=True)
class Score:
    """A system's mean on one measure of one task, with its 95 % interval over the queries."""

    system: str
    task: str
    measure: str
    estimate: MeanEstimate

    @property
    def metric(self) -> str:
        """The flat name: bare for the embedder, after the system's name for all others."""
        name = f"{self.task}_{self.measure}"
        return name if self.system == EMBEDDER else f"{self.system}_{name}"


@dataclass(frozen=True)
class Difference:
    """How far the system is above the baseline on the same queries, with the paired interval."""

    system: str
    baseline: str
    task: str
    measure: str
    estimate: MeanEstimate


def score(outcome: Outcome, *, num_resamples: int, seed: int) -> Score:
    """The mean of an outcome with its bootstrap interval."""
    estimate = bootstrap_mean(outcome.values_Q, num_resamples=num_resamples, seed=seed)
    return Score(outcome.system, outcome.task, outcome.measure, estimate)


def differences(outcomes: Sequence[Outcome], *, num_resamples: int, seed: int) -> list[Difference]:
    """The embedder against every other system, on every task and measure both were run on."""
    embedder = {(o.task, o.measure): o.values_Q for o in outcomes if o.system == EMBEDDER}
    return [
        Difference(
            EMBEDDER,
            other.system,
            other.task,
            other.measure,
            bootstrap_difference(
                embedder[other.task, other.measure],
                other.values_Q,
                num_resamples=num_resamples,
                seed=seed,
            ),
        )
        for other in outcomes
        if other.system != EMBEDDER
    ]


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """`scores.parquet`: system, task, measure, value, low, high, n."""
    _write_rows(scores, SCORES_SCHEMA, path)


def write_differences(differences: Sequence[Difference], path: Path) -> None:
    """`differences.parquet`: system, baseline, task, measure, value, low, high, n."""
    _write_rows(differences, DIFFERENCES_SCHEMA, path)


def write_outcomes(outcomes: Sequence[Outcome], doc_ids: Sequence[str], path: Path) -> None:
    """`outcomes.parquet`: system, task, measure, doc_id, value: what stands behind each score.

    Args:
        outcomes: of tasks whose queries are these documents.
        doc_ids: of each outcome's values, in order.
    """
    columns = {
        "system": [outcome.system for outcome in outcomes for _ in doc_ids],
        "task": [outcome.task for outcome in outcomes for _ in doc_ids],
        "measure": [outcome.measure for outcome in outcomes for _ in doc_ids],
        "doc_id": [doc_id for _ in outcomes for doc_id in doc_ids],
        "value": [value for outcome in outcomes for value in outcome.values_Q.tolist()],
    }
    table = pa.table(columns, schema=OUTCOMES_SCHEMA)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _write_rows(rows: Sequence[Score | Difference], schema: pa.Schema, path: Path) -> None:
    flat = [{**vars(row), **vars(row.estimate)} for row in rows]
    columns = {name: [row[name] for row in flat] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), path, write_page_checksum=True)
