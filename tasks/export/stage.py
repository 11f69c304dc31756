"""The export stage: every document of the corpus becomes a row with its vector."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.errors import ArtifactError
from tasks.corpus import Corpus, CorpusSummary
from tasks.embedder import Embedder
from tasks.export.columns import refuse_reserved
from tasks.export.config import ExportConfig
from tasks.export.dataset import SUMMARY, describe, write_summary
from tasks.export.shards import ShardExporter, ShardTotals, chunk_name, part_name
from tasks.progress import SharedProgress
from tasks.runtime.devices import pick_device, pick_precision
from tasks.stage import Metrics, Stage, StageContext


def run(context: StageContext) -> Metrics:
    """Write the embeddings dataset into the output folder; return its totals and the speed.

    Raises:
        CorpusError: a metadata column has a name that the dataset uses itself.
        ArtifactError: an input is damaged, a vector is unusable, or rows are missing.
    """
    config: ExportConfig = context.config
    corpus = Corpus(context.inputs["ingest"].path)
    refuse_reserved(corpus.about.metadata_columns)
    device = pick_device(config.device)
    embedder = Embedder.load(context.inputs["tune"].path, device)
    num_shards = len(corpus.about.shards)
    names = _file_names(num_shards, config)
    _remove_all_but(context.output, names)
    description = describe(config, embedder.about, context.inputs)
    progress = SharedProgress(context.report, corpus.about.num_kept, "documents")
    precision = pick_precision(config.precision, device)
    exporter = ShardExporter(
        corpus, embedder, precision, config, description, context.output, progress
    )
    started = time.monotonic()
    shards = context.map_shards(exporter.export, range(num_shards), name="embed")
    seconds = time.monotonic() - started
    totals = _totals(shards, corpus.about)
    write_summary(context.output, description, names, totals)
    num_embedded = sum(shard.num_embedded for shard in shards)
    sizes = {"dim": float(embedder.about.dim), "documents_per_second": num_embedded / seconds}
    return {name: float(value) for name, value in totals.items()} | sizes


def _file_names(num_shards: int, config: ExportConfig) -> list[str]:
    parts = [part_name(shard) for shard in range(num_shards)]
    chunks = [chunk_name(shard) for shard in range(num_shards)]
    return parts + (chunks if config.level == "chunk" else [])


def _remove_all_but(folder: Path, names: Sequence[str]) -> None:
    """Remove what an interrupted attempt left and this one will not check."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def _totals(shards: Sequence[ShardTotals], corpus: CorpusSummary) -> Mapping[str, int]:
    """Sums over all shards.

    Raises:
        ArtifactError: rows and documents do not agree.
    """
    num_documents = sum(shard.num_documents for shard in shards)
    expected = corpus.num_kept + corpus.num_duplicate
    if num_documents != expected:
        raise ArtifactError(
            f"the dataset has {num_documents} rows for {expected} documents "
            f"({corpus.num_kept} kept, {corpus.num_duplicate} duplicates): run ingest again"
        )
    return {
        "num_documents": num_documents,
        "num_duplicates": corpus.num_duplicate,
        "num_tokens": sum(shard.num_tokens for shard in shards),
        "num_windows": sum(shard.num_windows for shard in shards),
        "num_chunks": sum(shard.num_chunks for shard in shards),
    }


EXPORT = Stage(
    name="export",
    version=1,
    upstream=("ingest", "vocab", "tune"),
    run=run,
    tracked_files=(SUMMARY,),
)
