"""Align as the flows see it."""

from tasks.stage import Stage, later

OLD_EXPORT = "export/onto"

ALIGN = Stage(
    name="align",
    version=1,
    upstream=("ingest", "export", OLD_EXPORT),
    run=later("tasks.release.align.stage"),
    tracked_files=("alignment.json",),
)
