"""Rows and figures by step."""

from pathlib import Path

import pyarrow.parquet as pq

from tasks.probe.checkpoints import SavedModel
from tasks.probe.heads import head_rows
from tasks.probe.layers import layer_rows
from tasks.probe.masked_loss import masked_loss_rows
from tasks.probe.observe import observe_sample
from tasks.probe.over_time import StepRow, draw_course, rows_over_time, write_step_rows
from tasks.probe.table import SCHEMA, Row
from tests.tasks.probe.masked_models import plain_model, sample

STEPS = [5, 10, 40]


def saved() -> list[SavedModel]:
    return [SavedModel(step, plain_model(step)) for step in STEPS]


def without_step(row: StepRow) -> Row:
    return Row(**{name: value for name, value in vars(row).items() if name != "step"})


def test_each_step_has_the_rows_of_its_model() -> None:
    drawn, heard = sample(), []
    rows = rows_over_time(saved(), drawn, on_model=heard.append)
    assert heard == STEPS
    last = [without_step(row) for row in rows if row.step == 40]
    model = plain_model(40)
    observed = observe_sample(model.model, drawn)
    wanted = [
        *layer_rows(observed, drawn),
        *masked_loss_rows(model, drawn),
        *head_rows(observed, drawn),
    ]
    assert last == wanted
    assert len(rows) == 3 * len(wanted)


def test_the_table_has_the_columns_of_layers_after_the_step(tmp_path: Path) -> None:
    rows = rows_over_time(saved()[:2], sample())
    write_step_rows(rows, tmp_path / "checkpoints.parquet")
    table = pq.read_table(tmp_path / "checkpoints.parquet")
    assert table.schema.names == ["step", *SCHEMA.names]
    assert table.to_pylist() == [
        {name: getattr(row, name) for name in table.schema.names} for row in rows
    ]
    write_step_rows([], tmp_path / "empty.parquet")
    assert pq.read_table(tmp_path / "empty.parquet").schema == table.schema


def test_a_figure_has_a_named_line_for_each_layer() -> None:
    rows = rows_over_time(saved(), sample())
    level = (5.7, "guessing by frequency")
    svg = draw_course(rows, "masked_loss", y_label="nats", level=level)
    for name in ("embeddings", "layer 1", "layer 2", "layer 3", "guessing by frequency", "nats"):
        assert f">{name}</text>" in svg
    assert draw_course(rows, "residual_update", y_label="change").count(">layer ") == 3
    assert svg == draw_course(rows[::-1], "masked_loss", y_label="nats", level=level)
