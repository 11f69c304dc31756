"""The drift stage as the flows see it: what it reads, and the files it writes for the tracker."""

from tasks.stage import Stage, later

NEW = "ingest"  # the corpus that was just taken in
SINCE = "ingest/since"  # what it was when documents were last compared
LEARNED = "ingest/learned"  # the one the embedder was trained and examined on

TABLE = "drift.parquet"
ANSWER = "drift.json"
REPORT = "report.html"

DRIFT = Stage(
    name="drift",
    version=1,
    upstream=(NEW, SINCE, LEARNED, "vocab", "pretrain", "tune", "export"),
    run=later("tasks.drift.stage"),
    tracked_files=(TABLE, ANSWER, REPORT),
)
