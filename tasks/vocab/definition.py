"""The vocab stage as the flows see it."""

from tasks.stage import Stage, later, named_sources

VOCAB = Stage(
    name="vocab",
    version=2,
    upstream=("ingest",),
    run=later("tasks.vocab.stage"),
    sources=named_sources("tasks.vocab.stage", "tokenizer", "affixes", "conllu"),
    tracked_files=("tokenizer.json", "merges.txt", "peers.parquet", "sizes.parquet", "plots"),
    quoting_files=("report.html", "report.json"),
)
