"""The forecast stage: from evaluations of parts of the text to scores on all of it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.forecast.config import SHARES, ForecastConfig
from tasks.forecast.findings import Findings, answer, findings, rows
from tasks.forecast.outcomes import MEASURE, read_outcomes
from tasks.forecast.report import report_page
from tasks.stage import Metrics, Stage, StageContext
from tasks.system_names import EMBEDDER, HALF_DOCUMENT

TABLE = "forecast.parquet"
ANSWER = "forecast.json"
REPORT = "report.html"
_EVALUATED = "outcomes.parquet"  # of every evaluation
_SCHEMA = pa.schema(
    [
        pa.field("system", pa.string(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("share", "value")),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("low", "high")),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("is_foretold", pa.bool_(), nullable=False),
    ]
)


def run(context: StageContext) -> Metrics:
    """Foretell half-document recall@1 of every system; write the table, the answer and the page.

    Returns:
        Each system's foretold score under its flat name, the embedder's bare and with its bounds.

    Raises:
        ArtifactError: an evaluation is damaged.
        CorpusError: the evaluations have no query in common.
    """
    config = context.config
    assert isinstance(config, ForecastConfig)
    outcomes = read_outcomes([context.inputs[name].file(_EVALUATED) for name in SHARES])
    found = findings(outcomes, list(SHARES.values()), config)
    table = pa.Table.from_pylist(rows(found), schema=_SCHEMA)
    pq.write_table(table, context.output / TABLE, write_page_checksum=True)
    text = json.dumps(answer(found), indent=1, ensure_ascii=False) + "\n"
    (context.output / ANSWER).write_text(text, "utf-8")
    (context.output / REPORT).write_text(report_page(found, config), "utf-8")
    return _metrics(found)


def _metrics(found: Findings) -> Metrics:
    name = f"{HALF_DOCUMENT}_{MEASURE}"
    own = found.forecasts[EMBEDDER].at_whole
    others = {
        f"{rival.system}_{name}": found.forecasts[rival.system].at_whole.value
        for rival in found.rivals
    }
    return {
        name: own.value,
        f"{name}_low": own.low,
        f"{name}_high": own.high,
        **others,
        "num_queries": float(found.num_queries),
    }


FORECAST = Stage(
    name="forecast",
    version=1,
    upstream=tuple(SHARES),
    run=run,
    tracked_files=(TABLE, ANSWER, REPORT),
)
