"""One Prefect flow a stage. Each takes its settings and references to what it reads, and returns
a reference to what it made."""

import os
from typing import Any

from prefect import flow
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.perform import perform, run_name
from flows.session import PartOf
from tasks.evaluate.config import EvaluateConfig
from tasks.export.config import ExportConfig
from tasks.ingest.config import IngestConfig
from tasks.pretrain.config import PretrainConfig
from tasks.probe.config import ProbeConfig
from tasks.store.artifact import ArtifactRef
from tasks.tokenize.config import TokenizeConfig
from tasks.tune.config import TuneConfig
from tasks.vocab.config import VocabConfig

WORKSPACE = "workspace"

# Threads serve the shards: the libraries that do the work release the interpreter's lock.
_SHARD_THREADS: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=os.cpu_count() or 1)

stage_flow = flow(
    flow_run_name=run_name,
    task_runner=_SHARD_THREADS,
    persist_result=True,
    result_serializer="json",
)


@stage_flow
def ingest(config: IngestConfig, workspace: str = WORKSPACE) -> Any:
    """Read, clean, deduplicate and split documents."""
    return perform("ingest", config, {}, workspace)


@stage_flow
def vocab(config: VocabConfig, corpus: ArtifactRef, workspace: str = WORKSPACE) -> Any:
    """Learn the vocabulary."""
    return perform("vocab", config, {"ingest": corpus}, workspace)


@stage_flow
def tokenize(
    config: TokenizeConfig,
    corpus: ArtifactRef,
    vocabulary: ArtifactRef,
    workspace: str = WORKSPACE,
) -> Any:
    """Encode the corpus and plan the packing."""
    return perform("tokenize", config, {"ingest": corpus, "vocab": vocabulary}, workspace)


@stage_flow
def pretrain(
    config: PretrainConfig,
    vocabulary: ArtifactRef,
    tokens: ArtifactRef,
    workspace: str = WORKSPACE,
    part_of: PartOf | None = None,
) -> Any:
    """Train the encoder by masked language modelling."""
    inputs = {"vocab": vocabulary, "tokenize": tokens}
    return perform("pretrain", config, inputs, workspace, part_of)


@stage_flow
def tune(
    config: TuneConfig,
    corpus: ArtifactRef,
    vocabulary: ArtifactRef,
    tokens: ArtifactRef,
    encoder: ArtifactRef,
    workspace: str = WORKSPACE,
    part_of: PartOf | None = None,
) -> Any:
    """Train document embeddings."""
    inputs = {"ingest": corpus, "vocab": vocabulary, "tokenize": tokens, "pretrain": encoder}
    return perform("tune", config, inputs, workspace, part_of)


@stage_flow
def probe(
    config: ProbeConfig,
    corpus: ArtifactRef,
    vocabulary: ArtifactRef | None = None,
    tokens: ArtifactRef | None = None,
    encoder: ArtifactRef | None = None,
    workspace: str = WORKSPACE,
) -> Any:
    """Measure what each layer and each head knows; of the encoder given, or of the config's own."""
    named = {"ingest": corpus, "vocab": vocabulary, "tokenize": tokens, "pretrain": encoder}
    inputs = {name: made for name, made in named.items() if made is not None}
    return perform("probe", config, inputs, workspace)


@stage_flow
def evaluate(
    config: EvaluateConfig,
    corpus: ArtifactRef,
    vocabulary: ArtifactRef,
    tokens: ArtifactRef,
    encoder: ArtifactRef,
    embedder: ArtifactRef,
    workspace: str = WORKSPACE,
) -> Any:
    """Score the embedder beside classic baselines."""
    inputs = {
        "ingest": corpus,
        "vocab": vocabulary,
        "tokenize": tokens,
        "pretrain": encoder,
        "tune": embedder,
    }
    return perform("evaluate", config, inputs, workspace)


@stage_flow
def export(
    config: ExportConfig,
    corpus: ArtifactRef,
    vocabulary: ArtifactRef,
    embedder: ArtifactRef,
    workspace: str = WORKSPACE,
    part_of: PartOf | None = None,
) -> Any:
    """Embed all documents into Parquet."""
    inputs = {"ingest": corpus, "vocab": vocabulary, "tune": embedder}
    return perform("export", config, inputs, workspace, part_of)
