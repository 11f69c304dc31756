"""The ingest stage as the flows see it."""

from tasks.ingest.places.sources import sources
from tasks.ingest.run import run
from tasks.stage import Stage

INGEST = Stage(
    name="ingest",
    version=2,
    upstream=(),
    run=run,
    sources=sources,
    tracked_files=("corpus.json",),
    quoting_files=("report.html",),
)
