"""The export stage as the flows see it."""

from tasks.stage import Stage, later

EXPORT = Stage(
    name="export",
    version=2,
    upstream=("ingest", "vocab", "tune"),
    run=later("tasks.export.stage"),
    tracked_files=("dataset.json",),
    goes_on_from=("part-*.parquet", "chunk-*.parquet"),
)
