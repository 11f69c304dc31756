"""The ingest stage as the flows see it."""

from tasks.ingest.places.sources import sources
from tasks.stage import Stage, later

INGEST = Stage(
    name="ingest",
    version=2,
    upstream=(),
    run=later("tasks.ingest.run"),
    sources=sources,
    tracked_files=("corpus.json",),
    quoting_files=("report.html",),
    heeds_erasures=True,
)
