"""The tune stage as the flows see it."""

from tasks.stage import Stage, later

TUNE = Stage(
    name="tune",
    version=2,
    upstream=("ingest", "vocab", "tokenize", "pretrain"),
    run=later("tasks.tune.stage"),
    tracked_files=("training.json", "embedder.json", "layers.json"),
    goes_on_from=("checkpoints",),
)
