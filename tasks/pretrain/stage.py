"""The pretrain stage: packed tokens become an encoder that transformers loads."""

import json
import shutil
from pathlib import Path
from typing import Any

from model.state import library_versions
from model.training import Training
from tasks.checkpoints import checkpoint_steps
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.curves import CURVES_FILE, write_curves
from tasks.pretrain.initial import sources
from tasks.pretrain.run import CHECKPOINTS, PretrainingRun, prepare
from tasks.pretrain.sizes import num_parameters
from tasks.runtime.stopping import deferred_termination
from tasks.runtime.threads import hold_threads_steady
from tasks.stage import Metrics, Stage, StageContext

SUMMARY_FILE = "training.json"


def run(context: StageContext) -> Metrics:
    """Train, from the newest checkpoint if an earlier attempt left one; return the final metrics.

    Raises:
        CorpusError: the training or the validation split is empty.
        RequestError: the device is not there, or the encoder to start from does not fit.
        ArtifactError: an input or a checkpoint cannot be used.
        TrainingError: the loss is no longer finite; checkpoints stay for a look.
        TrainingInterrupted: SIGTERM came; the last step is kept in a checkpoint.
    """
    hold_threads_steady()
    _remove_all_but_checkpoints(context.output)
    pretraining = prepare(context)
    with deferred_termination() as should_stop:
        training = pretraining.training(should_stop)
        training.run()
    unigram_loss = pretraining.unigram_loss()
    _remove_unscheduled(context.output / CHECKPOINTS, context.config)
    pretraining.write_model(context.output)
    write_curves(training.state.curve, context.output)
    _write_summary(pretraining, training, unigram_loss)
    return _metrics(training, unigram_loss)


def _metrics(training: Training, unigram_loss: float) -> Metrics:
    state = training.state
    metrics = {
        **state.validation,
        "unigram_loss": unigram_loss,
        "train_loss": [value for _, name, value in state.curve if name == "train_loss"][-1],
        "num_steps": float(state.step),
        "num_tokens": float(state.num_tokens),
    }
    if training.tokens_per_second:
        metrics["tokens_per_second"] = training.tokens_per_second
    return metrics


def _write_summary(pretraining: PretrainingRun, training: Training, unigram_loss: float) -> None:
    """What was used and measured; nothing in it depends on the clock unless the run did."""
    config = pretraining.config
    values: dict[str, Any] = {
        "num_steps": training.state.step,
        "num_tokens": training.state.num_tokens,
        "num_parameters": num_parameters(config.shape, pretraining.encoder.vocab_size),
        "reproducible": config.max_minutes is None,
        "precision": str(pretraining.precision).removeprefix("torch."),
        "encoder": vars(pretraining.encoder),
        "settings": config.identity(),
        "metrics": {**training.state.validation, "unigram_loss": unigram_loss},
        "versions": library_versions(),
    }
    text = json.dumps(values, indent=2, sort_keys=True)
    (pretraining.context.output / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")


def _remove_all_but_checkpoints(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and path.name != CHECKPOINTS:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _remove_unscheduled(folder: Path, config: PretrainConfig) -> None:
    """Drop checkpoints left by a stop between two scheduled ones: the result must not tell
    whether the run was ever stopped."""
    if config.max_minutes is not None:
        return
    scheduled = checkpoint_steps(config.max_steps, config.num_checkpoints)
    names = {f"step-{step:08d}" for step in scheduled}
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path)


PRETRAIN = Stage(
    name="pretrain",
    version=1,
    upstream=("vocab", "tokenize"),
    run=run,
    sources=sources,
    tracked_files=(SUMMARY_FILE, CURVES_FILE, "config.json"),
)
