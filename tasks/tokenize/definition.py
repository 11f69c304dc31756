"""The tokenize stage as the flows see it."""

from tasks.stage import Stage, later

TOKENIZE = Stage(
    name="tokenize",
    version=2,
    upstream=("ingest", "vocab"),
    run=later("tasks.tokenize.stage"),
    tracked_files=("tokens.json",),
)
