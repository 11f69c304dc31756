"""The export stage: every document of the corpus becomes a row with its vector."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import ArtifactError
from tasks.corpus import Corpus, CorpusSummary
from tasks.export.columns import refuse_reserved
from tasks.export.config import ExportConfig
from tasks.export.dataset import can_feed, describe, read_description, write_summary
from tasks.export.definition import EXPORT
from tasks.export.earlier import EarlierDataset
from tasks.export.parts import chunk_name, part_name
from tasks.export.remote import export_remotely
from tasks.export.shards import ShardExporter, ShardTotals
from tasks.export.workers import Embedders, pick_devices
from tasks.progress import SharedProgress
from tasks.runtime.devices import pick_precision
from tasks.runtime.threads import hold_threads_steady
from tasks.stage import Metrics, StageContext
from tasks.store.artifact import Artifact

__all__ = ["EXPORT", "run"]


def run(context: StageContext) -> Metrics:
    """Write the embeddings dataset into the output folder; return its totals and the speed.

    Vectors of documents whose content an earlier dataset of the same embedder has are taken from
    there.

    Raises:
        CorpusError: a metadata column has a name that the dataset uses itself.
        ArtifactError: an input is damaged, a vector is unusable, or rows are missing.
    """
    hold_threads_steady()
    config: ExportConfig = context.config
    corpus = Corpus(context.inputs["ingest"].path)
    refuse_reserved(corpus.about.metadata_columns)
    exporter = _open_exporter(context, config, corpus)
    context.need_room(_expected_bytes(config, corpus.about, exporter.embedders.about.dim))
    num_shards = len(corpus.about.shards)
    names = _file_names(num_shards, config)
    _remove_all_but(context.output, names)
    started = time.monotonic()
    if context.remote and exporter.embedders.are_on_processors:
        shards = export_remotely(context, exporter)
    else:
        shards = context.map_shards(exporter.export, range(num_shards), name="embed")
    seconds = time.monotonic() - started
    totals = _totals(shards, corpus.about)
    write_summary(context.output, exporter.description, names, totals)
    work = {
        name: sum(getattr(shard, name) for shard in shards)
        for name in ("num_embedded", "num_reused", "num_resumed")
    }
    speed = work["num_embedded"] / seconds
    sizes = {"dim": exporter.embedders.about.dim, "documents_per_second": speed}
    return {name: float(value) for name, value in (totals | work | sizes).items()}


def _expected_bytes(config: ExportConfig, corpus: CorpusSummary, dim: int) -> int:
    """Of the vectors of all documents; where there are chunks, each has one at least."""
    number_bytes = 4 if config.dtype == "float32" else 2
    vector_bytes = dim * (number_bytes + config.int8) + (dim // 8 if config.binary else 0)
    num_vectors = corpus.num_kept * (1 if config.level == "document" else 2)
    return num_vectors * vector_bytes


def _open_exporter(context: StageContext, config: ExportConfig, corpus: Corpus) -> ShardExporter:
    devices = pick_devices(config.device)
    embedders = Embedders.load(context.inputs["tune"].path, devices)
    precision = pick_precision(config.precision, devices[0])
    description = describe(config, embedders.about, precision, context.inputs)
    return ShardExporter(
        corpus=corpus,
        embedders=embedders,
        precision=precision,
        config=config,
        description=description,
        output=context.output,
        progress=SharedProgress(context.report, corpus.about.num_kept, "documents"),
        earlier=_open_earlier(context, description),
    )


def _open_earlier(context: StageContext, description: Mapping[str, Any]) -> EarlierDataset | None:
    """The newest dataset that can feed this one."""

    def suits(artifact: Artifact) -> bool:
        if artifact.manifest.identity.version != EXPORT.version:
            return False
        try:
            return can_feed(read_description(artifact.path), description)
        except ArtifactError:
            return True  # damaged: its verification will say so

    artifact = context.newest(suits)
    if artifact is None:
        return None
    found = read_description(artifact.path)
    return EarlierDataset(artifact.path, found, context.config, context.report.warning)


def _file_names(num_shards: int, config: ExportConfig) -> list[str]:
    parts = [part_name(shard) for shard in range(num_shards)]
    chunks = [chunk_name(shard) for shard in range(num_shards)]
    return parts + (chunks if config.level != "document" else [])


def _remove_all_but(folder: Path, names: Sequence[str]) -> None:
    """Remove what an interrupted attempt left and this one will not check."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _totals(shards: Sequence[ShardTotals], corpus: CorpusSummary) -> dict[str, int]:
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
