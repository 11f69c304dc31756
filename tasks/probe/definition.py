"""The probe stage as the flows see it."""

from tasks.stage import Stage, later, named_sources

PROBE = Stage(
    name="probe",
    version=3,
    upstream=("ingest", "vocab", "tokenize", "pretrain"),
    run=later("tasks.probe.stage"),
    sources=named_sources("tasks.probe.stage", "conllu", "encoder", "compare_with"),
    tracked_files=(
        "layers.parquet",
        "heads.parquet",
        "checkpoints.parquet",
        "comparison.parquet",
        "overview.html",
    ),
    quoting_files=("report.html",),
)
