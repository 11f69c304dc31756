"""Has processes elsewhere embed the shards: what they are told, and what they do and answer."""

import json
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from tasks.corpus import Corpus
from tasks.export.config import ExportConfig
from tasks.export.dataset import read_description
from tasks.export.earlier import EarlierDataset
from tasks.export.shards import ShardExporter, ShardTotals
from tasks.export.workers import Embedders
from tasks.spread import OnDone, spread
from tasks.stage import StageContext

_PROCESSOR = torch.device("cpu")
_opening = threading.Lock()


@dataclass(frozen=True)
class ExportPlan:
    """What is the same for all shards; paths are those of the workspace that all see.

    Attributes:
        precision: name of a type of torch's.
        description: what every file says about itself, as JSON.
        earlier: a dataset to take vectors from, if there is one.
        num_threads: that compute; how a sum is divided among them decides its last bits.
    """

    corpus: Path
    embedder: Path
    config: ExportConfig
    precision: str
    description: str
    output: Path
    earlier: Path | None
    num_threads: int


@dataclass(frozen=True)
class ExportTask:
    """One shard to embed, by its number."""

    plan: ExportPlan
    shard: int


@dataclass(frozen=True)
class ExportedShard:
    """What became of a shard, and what there is to warn of."""

    totals: ShardTotals
    warnings: tuple[str, ...]

    @property
    def num_done(self) -> int:
        """Documents that are in the shard's files now."""
        return self.totals.num_embedded + self.totals.num_reused + self.totals.num_resumed


def export_remotely(context: StageContext, exporter: ShardExporter) -> list[ShardTotals]:
    """What `exporter` would do, done by the context's remote workers on their processors."""
    plan = ExportPlan(
        corpus=exporter.corpus.folder,
        embedder=context.inputs["tune"].path,
        config=exporter.config,
        precision=str(exporter.precision).removeprefix("torch."),
        description=json.dumps(exporter.description),
        output=exporter.output,
        earlier=exporter.earlier.folder if exporter.earlier else None,
        num_threads=torch.get_num_threads(),
    )
    shards = spread(
        context,
        export_shard,
        [ExportTask(plan, shard) for shard in range(len(exporter.corpus.about.shards))],
        name="embed",
        progress=exporter.progress,
        num_done=lambda shard: shard.num_done,
    )
    for warning in dict.fromkeys(text for shard in shards for text in shard.warnings):
        context.report.warning(warning)
    return [shard.totals for shard in shards]


def export_shard(task: ExportTask, on_done: OnDone) -> ExportedShard:
    """Embed one shard in this process.

    Raises:
        ArtifactError, CorpusError: as `ShardExporter.export`.
    """
    torch.set_num_threads(task.plan.num_threads)
    with _opening:  # not by two threads at once
        exporter, warnings = _open(task.plan)
    totals = replace(exporter, progress=_Told(on_done)).export(task.shard)
    return ExportedShard(totals, tuple(warnings))


class _Told:
    """Passes on what is done."""

    def __init__(self, on_done: OnDone) -> None:
        self.add = on_done


@lru_cache(maxsize=1)
def _open(plan: ExportPlan) -> tuple[ShardExporter, list[str]]:
    """What is the same for all shards that this process embeds, and the warnings that come."""
    warnings: list[str] = []
    earlier = None
    if plan.earlier:
        about = read_description(plan.earlier)
        earlier = EarlierDataset(plan.earlier, about, plan.config, warnings.append)
    exporter = ShardExporter(
        corpus=Corpus(plan.corpus),
        embedders=Embedders.load(plan.embedder, [_PROCESSOR]),
        precision=getattr(torch, plan.precision),
        config=plan.config,
        description=json.loads(plan.description),
        output=plan.output,
        progress=_Told(lambda num_done: None),
        earlier=earlier,
    )
    return exporter, warnings
