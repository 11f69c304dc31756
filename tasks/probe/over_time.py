"""How the cheap measures of layers and heads come about: their rows at each checkpoint."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.probe.checkpoints import SavedModel
from tasks.probe.heads import head_rows
from tasks.probe.layers import layer_rows
from tasks.probe.masked_loss import MASK_FRAC, masked_loss_rows
from tasks.probe.observe import observe_sample
from tasks.probe.sample import Sample
from tasks.probe.table import SCHEMA, Row
from tasks.report.step_plot import Line, step_plot

STEP_SCHEMA = pa.schema([("step", pa.int64()), *SCHEMA])


@dataclass(frozen=True, kw_only=True)
class StepRow(Row):
    """A row of a measure at a checkpoint.

    Attributes:
        step: optimizer updates done.
    """

    step: int


def rows_over_time(
    models: Iterable[SavedModel],
    sample: Sample,
    *,
    mask_frac: float = MASK_FRAC,
    mask_seed: int = 0,
    on_model: Callable[[int], None] = lambda step: None,
) -> list[StepRow]:
    """Rows of every measure without labels, and of the masked-token loss, of each model.

    All are taken on the same documents and gaps; so differences between steps are not those of
    documents, and the intervals, which are of each step alone, are wide for them.

    Args:
        models: in order of their steps; looked at one at a time.
        sample: what is looked at.
        mask_frac, mask_seed: of the gaps.
        on_model: hears the step of each model that is done.

    Cost: two passes over the sample for each model.
    """
    rows = []
    for saved in models:
        observed = observe_sample(saved.model.model, sample)
        measured = [
            *layer_rows(observed, sample),
            *masked_loss_rows(saved.model, sample, mask_frac=mask_frac, mask_seed=mask_seed),
            *head_rows(observed, sample),
        ]
        rows += [StepRow(step=saved.step, **vars(row)) for row in measured]
        on_model(saved.step)
    return rows


def write_step_rows(rows: Iterable[StepRow], path: Path) -> None:
    """The rows as Parquet, in order: the columns of `layers.parquet` after `step`."""
    table = pa.Table.from_pylist([vars(row) for row in rows], schema=STEP_SCHEMA)
    pq.write_table(table, path, write_page_checksum=True)


def draw_course(
    rows: Sequence[StepRow],
    measure: str,
    *,
    y_label: str,
    level: tuple[float, str] | None = None,
) -> str:
    """The figure of one layer measure: its value by step as SVG text, a line for each layer.

    Args:
        rows: of at least one step.
        measure: of layers, without heads.
        y_label: what the values are.
        level: one horizontal line and its name, for example the loss of guessing by frequency.
    """
    chosen = [row for row in rows if row.measure == measure and row.head is None]
    layers = sorted({row.layer for row in chosen})
    lines = []
    for layer in layers:
        own = sorted((row for row in chosen if row.layer == layer), key=lambda row: row.step)
        lines.append(
            Line(
                label="embeddings" if layer == 0 else f"layer {layer}",
                x=[row.step for row in own],
                values=[row.value for row in own],
                low=[row.low for row in own],
                high=[row.high for row in own],
                is_reference=layer == 0,
            )
        )
    name = f"{measure}_by_step"
    return step_plot(name, lines, x_label="optimizer updates", y_label=y_label, level=level)
