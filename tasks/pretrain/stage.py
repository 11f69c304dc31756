"""The pretrain stage: packed tokens become an encoder that transformers loads."""

import json
import shutil
from pathlib import Path
from typing import Any

from model.state import library_versions
from model.training import Training
from tasks.checkpoints import checkpoint_steps
from tasks.pretrain.bad_batch import FAILED_BATCH_FILE
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.curves import write_curves
from tasks.pretrain.definition import PRETRAIN
from tasks.pretrain.guesses import write_guesses
from tasks.pretrain.launch import LAUNCH_FOLDER, is_distributed, train_in_processes
from tasks.pretrain.run import PretrainingRun, prepare
from tasks.pretrain.saved import CHECKPOINTS
from tasks.pretrain.sizes import num_parameters
from tasks.runtime.memory import keep_freed_memory
from tasks.runtime.stopping import Termination, deferred_termination
from tasks.runtime.threads import hold_threads_steady
from tasks.stage import Metrics, StageContext
from tasks.tokens import TokenizedCorpus

__all__ = ["PRETRAIN", "run"]

SUMMARY_FILE = "training.json"
WEIGHT_BYTES = 4  # a parameter
SAVED_BYTES = {"muon": 10, "adamw": 12}  # a parameter in a checkpoint; Muon keeps one moment


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
    context.need_room(_expected_bytes(context))
    with deferred_termination() as termination:
        launched: Metrics = {}
        if is_distributed(context.config):
            launched = train_in_processes(context, termination.has_come)
        pretraining = prepare(context)
        training = _trained(pretraining, termination, in_processes=bool(launched))
    unigram_loss = pretraining.unigram_loss()
    pretraining.saved.keep_scheduled()
    _remove_working_files(context.output)
    pretraining.write_model(context.output)
    write_curves(training.state.curve, context.output)
    write_guesses(training.state.samples, context.output)
    _write_summary(pretraining, training, unigram_loss)
    return {**_metrics(training, unigram_loss), **launched}


def _expected_bytes(context: StageContext) -> int:
    """Of the checkpoints, each with moments, and of the model at the end."""
    config: PretrainConfig = context.config
    tokens = TokenizedCorpus(context.inputs["tokenize"].path)
    parameters = num_parameters(
        config.shape, tokens.summary.vocab_size, tie_embeddings=config.tie_embeddings
    )
    num_checkpoints = len(checkpoint_steps(config.max_steps, config.num_checkpoints))
    return parameters * (num_checkpoints * SAVED_BYTES[config.optimizer] + WEIGHT_BYTES)


def _trained(
    pretraining: PretrainingRun, termination: Termination, *, in_processes: bool
) -> Training:
    """The loop at its end; where processes of their own have trained, it finds nothing to do."""
    with keep_freed_memory(pretraining.device.type):
        training = pretraining.training(termination.has_come, termination.cannot_wait)
        if not in_processes:
            pretraining.announce(training)
        training.run()
    return training


def _metrics(training: Training, unigram_loss: float) -> Metrics:
    state = training.state
    metrics = {
        **state.validation,
        "unigram_loss": unigram_loss,
        "train_loss": [value for _, name, value in state.curve if name == "train_loss"][-1],
        "num_steps": float(state.step),
        "num_tokens": float(state.num_tokens),
        "resumed_from_step": float(training.resumed_from_step),
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
        "num_parameters": num_parameters(
            config.shape, pretraining.encoder.vocab_size, tie_embeddings=config.tie_embeddings
        ),
        "reproducible": config.max_minutes is None,
        "precision": str(pretraining.precision).removeprefix("torch."),
        "encoder": vars(pretraining.encoder),
        "settings": {**config.identity(), **config.rates._asdict()},
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


def _remove_working_files(folder: Path) -> None:
    shutil.rmtree(folder / LAUNCH_FOLDER, ignore_errors=True)
    (folder / FAILED_BATCH_FILE).unlink(missing_ok=True)
