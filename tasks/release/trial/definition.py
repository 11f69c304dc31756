"""The trial as the flows see it: pure, so that it is measured once for two embedders."""

from tasks.stage import Stage, later

RELEASED_CORPUS, RELEASED_EMBEDDER = "ingest/released", "tune/released"

TRIAL = Stage(
    name="trial",
    version=1,
    upstream=("ingest", "tune", RELEASED_CORPUS, RELEASED_EMBEDDER),
    run=later("tasks.release.trial.stage"),
    tracked_files=("trial.json",),
)
