"""The evaluate stage as the flows see it."""

from tasks.stage import Stage, later, named_sources

EVALUATE = Stage(
    name="evaluate",
    version=4,
    upstream=("ingest", "vocab", "tokenize", "pretrain", "tune"),
    run=later("tasks.evaluate.stage"),
    sources=named_sources(
        "tasks.evaluate.given_files",
        "similarity_pairs",
        "relevance",
        "sentence_transformers",
        "compare_with",
    ),
    tracked_files=("scores.parquet", "differences.parquet", "overview.html"),
    quoting_files=("report.html",),
)
