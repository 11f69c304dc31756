"""A chain that takes seconds, stage by stage and without an orchestrator, to be broken anywhere."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from flows.config import PipelineConfig
from flows.graph import STAGE_NAMES, UPSTREAM, StageName, load_stage, stages_for
from tasks.execute import Outcome, execute
from tasks.ingest import groups
from tasks.stage import Reporter, map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.store.lease import PACE, Pace
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.faults.changes import changes_of
from tests.tasks.chain import Listener

SETTINGS: dict[str, dict[str, Any]] = {
    "ingest": {"test_frac": 0.2, "documents_per_shard": 12},
    "vocab": {"vocab_size": 320},
    "tokenize": {"row_tokens": 32},
    "pretrain": {
        "size": "tiny",
        "num_layers": 1,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 32,
        "max_steps": 8,
        "rows_per_step": 4,
        "device": "cpu",
    },
    "tune": {
        "max_steps": 4,
        "bag_steps": 2,
        "documents_per_batch": 8,
        "num_checkpoints": 4,
        "device": "cpu",
    },
    "probe": {"num_documents": 20, "num_examples": 60, "device": "cpu"},
    "evaluate": {"min_words": 5, "num_resamples": 100, "device": "cpu"},
    "export": {"device": "cpu"},
}


def write_corpus(folder: Path, num_documents: int = 60) -> None:
    """Short documents of a few subjects."""
    folder.mkdir()
    subjects = [["iron", "rail", "engine"], ["leaf", "root", "garden"], ["tide", "sail", "harbour"]]
    for number in range(num_documents):
        words = subjects[number % 3]
        sentences = [
            f"The {words[(number + i) % 3]} of day {number * 7 + i} was new." for i in range(8)
        ]
        (folder / f"{number:03d}.txt").write_text(" ".join(sentences), "utf-8")


def config_of(corpus: Path) -> PipelineConfig:
    """The chain's settings."""
    settings = {name: dict(values) for name, values in SETTINGS.items()}
    settings["ingest"]["paths"] = [str(corpus)]
    return PipelineConfig.model_validate(settings)


def run_stage(
    name: StageName,
    corpus: Path,
    workspace: Path,
    pace: Pace = PACE,
    *,
    config: PipelineConfig | None = None,
    report: Reporter | None = None,
) -> Outcome:
    """A stage and what it stands on, in this process; `report` hears of that stage only."""
    torch.set_num_threads(1)
    groups._FILES_PER_GROUP = 8  # so that even this corpus is read in several parts
    config = config or config_of(corpus)
    store = store_of(workspace, pace)
    done: dict[StageName, ArtifactRef] = {}
    for each in stages_for(name, config):
        stage = load_stage(each)
        inputs = {upstream: done[upstream] for upstream in stage.reads(getattr(config, each))}
        outcome = execute(
            stage,
            getattr(config, each),
            inputs,
            store=store,
            report=(report if each == name else None) or Listener(),
            map_shards=map_in_order,
        )
        done[each] = outcome.ref
    return outcome


def store_of(workspace: Path, pace: Pace = PACE) -> Store:
    """The store of a workspace; what it warns of is expected."""
    return Store(Workspace.open(workspace), warn=lambda text: None, pace=pace)


def downstream_of(stage: StageName) -> set[StageName]:
    """The stage, and all that read what it makes."""
    found = {stage}
    for name in STAGE_NAMES:  # in the order in which they run
        if found & set(UPSTREAM[name]):
            found.add(name)
    return found


def without(workspace: Path, copy: Path, stages: set[StageName]) -> Path:
    """A copy of a workspace, files shared, that lacks what these stages have made.

    Artifacts are never written to, so that sharing does no harm.
    """
    for path in workspace.rglob("*"):
        place = path.relative_to(workspace)
        if place.parts[0] in ("artifacts", "leases") and set(place.parts[1:2]) & stages:
            continue
        if path.is_dir():
            (copy / place).mkdir(parents=True, exist_ok=True)
        else:
            os.link(path, copy / place)
    return copy


def changes_in_staging(stage: StageName, whole: Path, corpus: Path, folder: Path) -> list[str]:
    """The names of the changes that a stage makes where it works, sorted; it is run in `folder`."""
    recorded = without(whole, folder, downstream_of(stage))
    changes = changes_of(recorded, partial(run_stage, stage, corpus, recorded))
    return sorted({name for name in changes if f" staging/{stage}" in name})
