"""What a stage shows on its Prefect pages; one that cannot be made is a warning."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.runtime import flow_run

from flows.markdown import code
from flows.page_writer import PageWriter
from flows.session import Session
from flows.show import headline
from tasks.execute import Outcome
from tasks.tracking import StageTrack

PREFECT_SECONDS = 5.0  # each update is a call to the API


class StagePages:
    """The Prefect pages of one stage of a run; a context manager that sees them written.

    Args:
        stage: its name.
        run: the run it belongs to.
        track: the stage's run of the tracker.
    """

    def __init__(self, stage: str, run: Session, track: StageTrack) -> None:
        self._stage = stage
        self._run = run
        self._writer = PageWriter(run.warn)
        self._progress_id: UUID | None = None
        self._last_s = time.monotonic()
        run.links.add(f"{stage}-mlflow-run", str(flow_run.id), track)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.end(kind)

    def progress(self, done: int, total: int) -> None:
        """Show how far the stage is, every few seconds, and link what MLflow knows by now."""
        if time.monotonic() - self._last_s >= PREFECT_SECONDS:
            self._show_progress(100.0 * done / max(total, 1))
            self._write("its links", self._run.links.make_known)

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Show a table of the stage's own."""
        table, key = [shown_row(row) for row in rows], f"{self._stage}-{name}"
        self._write(name, lambda: create_table_artifact(table=table, key=key))

    def finish(self, outcome: Outcome) -> None:
        """Show what the stage has made: a summary, all its measures, and that it is done."""
        rows = [{"measure": name, "value": value} for name, value in outcome.metrics.items()]
        text = summary(self._stage, outcome, self._run)

        def make() -> None:
            create_table_artifact(
                table=rows, key=f"{self._stage}-metrics", description=f"`{outcome.ref.path}`"
            )
            create_markdown_artifact(text, key=f"{self._stage}-summary")

        self._write("its summary", make)
        self._show_progress(100.0)

    def _show_progress(self, percent: float) -> None:
        self._last_s = time.monotonic()
        self._write("its progress", lambda: self._make_progress(percent))

    def _make_progress(self, percent: float) -> None:
        if self._progress_id:
            update_progress_artifact(self._progress_id, progress=percent)
        else:
            created = create_progress_artifact(
                progress=percent, key=f"{self._stage}-progress", description=self._stage
            )
            self._progress_id = created if isinstance(created, UUID) else None

    def _write(self, what: str, page: Callable[[], object]) -> None:
        self._writer.write(f"{self._stage}: {what} could not be shown in Prefect", page)


def shown_row(row: Mapping[str, object]) -> dict[str, object]:
    """The row with its texts, which may be names of anybody's files, as code: Prefect's page would
    take them for Markdown and load what they link to."""
    return {name: code(value) if isinstance(value, str) else value for name, value in row.items()}


def summary(stage: str, outcome: Outcome, run: Session) -> str:
    """The stage's result in Markdown: numbers and names only, no word of any document."""
    done = "found as it was" if outcome.reused else "made"
    metrics = {f"{stage}/{name}": value for name, value in outcome.metrics.items()}
    lines = [
        f"## {stage}",
        f"{done} in {outcome.seconds:.1f} s, in run `{run.run_id}`",
        f"- artifact: `{outcome.ref.path}`",
        f"- content id: `{outcome.ref.content_id}`",
    ]
    if told := headline(stage, metrics):
        lines.append(f"- {told}")
    lines.append(f"- from where: `corpusmith lineage {outcome.ref.path}`")
    if not run.tracker.is_served:
        lines.append("- in MLflow: " + code(f"corpusmith ui --workspace {run.workspace.location}"))
    return "\n".join([lines[0], "", lines[1], "", *lines[2:]]) + "\n"
