"""The tune stage: a pretrained encoder becomes an embedder of documents."""

import json
import shutil
from pathlib import Path
from typing import Any

from tasks.runtime.devices import pick_device
from tasks.runtime.memory import keep_freed_memory
from tasks.runtime.threads import hold_threads_steady
from tasks.stage import Metrics, StageContext
from tasks.tune.config import TuneConfig
from tasks.tune.definition import TUNE
from tasks.tune.layer_choice import choose_layer
from tasks.tune.prepare import CHECKPOINTS, prepare
from tasks.tune.training import TuningRun
from tasks.tuned_layers import TunedLayers

__all__ = ["TUNE", "run"]

TRAINING_SUMMARY = "training.json"
WEIGHT_BYTES, SAVED_BYTES = 4, 12  # a parameter alone, and in a checkpoint


def run(context: StageContext) -> Metrics:
    """Train, and leave a folder that sentence-transformers loads; return the final metrics.

    Raises:
        CorpusError: too few documents are long enough for two spans, or there are none to choose
            a layer by.
        RequestError: dimensions, windows or a layer that the encoder does not have.
        TrainingError: the loss is no longer finite.
        ArtifactError: an input or a checkpoint cannot be used.
    """
    config: TuneConfig = context.config
    hold_threads_steady()
    _remove_all_but_checkpoints(context.output)
    tuning = prepare(context)
    context.need_room(_expected_bytes(tuning))
    with keep_freed_memory(pick_device(config.device).type):
        tuning.run()
        chosen = choose_layer(tuning, seed=config.seed) if config.layer == "best" else None
    encoder = tuning.tuner.encoder
    if chosen:
        encoder = encoder.cut(chosen.layer)
        chosen.write(context.output)
    tuning.write_embedder(encoder, context.output)
    _write_summary(context.output, config, tuning)
    return _metrics(tuning) | _layer_metrics(encoder.config.num_layers, chosen)


def _expected_bytes(tuning: TuningRun) -> int:
    """Of the checkpoints before it may stop early, each with moments, and of the embedder."""
    parameters = sum(weight.numel() for weight in tuning.tuner.encoder.parameters())
    num_checkpoints = 1 + min(tuning.num_checkpoints, tuning.patience)
    return parameters * (num_checkpoints * SAVED_BYTES + WEIGHT_BYTES)


def _remove_all_but_checkpoints(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != CHECKPOINTS:
            shutil.rmtree(path)


def _write_summary(folder: Path, config: TuneConfig, tuning: TuningRun) -> None:
    """What was used and measured; the same in a resumed run as in one that was not cut short."""
    values: dict[str, Any] = {
        "settings": config.identity(),
        "matryoshka_dims": list(tuning.tuner.settings.matryoshka_dims),
        "num_documents": len(tuning.documents),
        "before": tuning.progress.before,
        "history": tuning.progress.history,
        "best_step": tuning.best_step,
    }
    (folder / TRAINING_SUMMARY).write_text(json.dumps(values, indent=2) + "\n", "utf-8")


def _metrics(tuning: TuningRun) -> Metrics:
    history = tuning.progress.history
    best = next(entry for entry in history if entry["step"] == tuning.best_step)
    metrics = {name: value for name, value in best.items() if name != "step"}
    metrics["best_step"] = float(tuning.best_step)
    metrics["num_documents"] = float(len(tuning.documents))
    if tuning.validation:
        metrics["initial_recall_at_1"] = tuning.progress.before["validation_recall_at_1"]
        metrics["bag_recall_at_1"] = history[0]["validation_recall_at_1"]
    if tuning.update_seconds:
        num_updates = len(tuning.update_seconds)
        num_seen = num_updates * tuning.sampler.documents_per_batch
        metrics["documents_per_second"] = num_seen / sum(tuning.update_seconds)
    return metrics


def _layer_metrics(layer: int, chosen: TunedLayers | None) -> Metrics:
    """The layer and, where it was chosen, each one's scores; the bare names are the chosen's."""
    metrics = {"layer": float(layer)}
    for row in chosen.rows if chosen else []:
        number = int(row.pop("layer"))
        metrics |= {f"{name}_layer_{number}": value for name, value in row.items()}
        metrics |= row if number == layer else {}
    return metrics
