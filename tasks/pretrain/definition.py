"""The pretrain stage as the flows see it."""

from tasks.stage import Stage, later, named_sources

PRETRAIN = Stage(
    name="pretrain",
    version=2,
    upstream=("vocab", "tokenize"),
    run=later("tasks.pretrain.stage"),
    sources=named_sources("tasks.pretrain.initial", "init_from"),
    tracked_files=("training.json", "curves.parquet", "config.json"),
    quoting_files=("guesses.html",),
    goes_on_from=("checkpoints",),
)
