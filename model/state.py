"""What a training run needs to go on as if it had never stopped: files without pickle.

Weights and the optimizers' moments are safetensors by parameter name, everything else is JSON.
No random state is kept, because order and masks are functions of the step.
"""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.errors import ArtifactError
from model.huggingface import load_masked_lm, save_masked_lm
from model.json_files import parse_json
from model.mlm import MaskedLanguageModel
from model.optimizers import Optimizers

FORMAT = 2
READABLE_FORMATS = (1, 2)  # what the first one does not have is as it is at the beginning
STATE_FILE = "state.json"
OPTIMIZER_FILE = "optimizer.safetensors"


@dataclass
class TrainingState:
    """Where a run stands between two updates.

    Attributes:
        step: updates done.
        num_tokens: tokens learned from so far, padding not counted, repeats counted.
        elapsed_s: training time so far, kept only in runs that stop by time.
        num_checkpoints: scheduled checkpoints written.
        num_validations: scheduled validations done.
        recent_losses: training losses since they were last reported.
        validation: the newest validation's measures.
        validated_step: the update after which they were taken; -1 = never.
        curve: (step, measure, value) of everything reported that does not depend on the clock.
        num_skipped_rows: rows passed over so far, because the loss went wrong near them.
        num_rollbacks: how often that led back to a checkpoint.
        loss_window: losses of the newest steps, in which spikes are looked for.
        samples: examples taken at each validation, JSON values, each with its "step".
    """

    step: int = 0
    num_tokens: int = 0
    elapsed_s: float = 0.0
    num_checkpoints: int = 0
    num_validations: int = 0
    recent_losses: list[float] = field(default_factory=list)
    validation: dict[str, float] = field(default_factory=dict)
    validated_step: int = -1
    curve: list[tuple[int, str, float]] = field(default_factory=list)
    num_skipped_rows: int = 0
    num_rollbacks: int = 0
    loss_window: list[float] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    folder: Path,
    model: MaskedLanguageModel,
    optimizers: Optimizers,
    state: TrainingState,
    fingerprint: Mapping[str, Any],
) -> None:
    """Writes a loadable model, the optimizers' moments and `state.json` into `folder`.

    Args:
        folder: exists.
        model: being trained.
        optimizers: of that model, after at least one update.
        state: where the run stands.
        fingerprint: JSON values of settings and data that a resumed run must share.
    """
    save_masked_lm(model, folder)
    moments = {name: value.cpu().contiguous() for name, value in optimizers.state().items()}
    save_file(moments, folder / OPTIMIZER_FILE)
    record = {
        "format": FORMAT,
        "fingerprint": dict(fingerprint),
        "versions": library_versions(),
        "state": asdict(state),
    }
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False)
    (folder / STATE_FILE).write_text(text + "\n", encoding="utf-8")


def load_state(
    folder: Path,
    model: MaskedLanguageModel,
    optimizers: Optimizers,
    fingerprint: Mapping[str, Any],
) -> TrainingState:
    """Puts `model` and `optimizers` where the checkpoint in `folder` was; returns the rest.

    Raises:
        ArtifactError: the checkpoint is of another format or shape, or of other settings or
            data; the message names the first that differs.
    """
    record = _read_record(folder / STATE_FILE)
    _refuse_other_run(folder, record["fingerprint"], fingerprint)
    model.load_state_dict(load_masked_lm(folder).state_dict())
    state = _state_from(record["state"])
    try:
        optimizers.load_state(load_file(folder / OPTIMIZER_FILE), state.step)
    except (KeyError, OSError, SafetensorError) as error:
        raise ArtifactError(
            f"{folder / OPTIMIZER_FILE} does not hold this model's moments ({error}); "
            "remove the checkpoint to go on from an earlier one"
        ) from error
    return state


def library_versions() -> dict[str, str]:
    """Versions of what the numbers in a checkpoint depend on."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        known = record["format"] in READABLE_FORMATS and {"fingerprint", "state"} <= record.keys()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} is no training state ({error}); remove it") from error
    if not known:
        raise ArtifactError(
            f"{path} has format {record['format']}, this version reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}; remove the checkpoints to train from "
            "the beginning"
        )
    return record


def _state_from(values: Mapping[str, Any]) -> TrainingState:
    curve = [(int(step), str(name), float(value)) for step, name, value in values["curve"]]
    return TrainingState(**{**values, "curve": curve})


def _refuse_other_run(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(dict(wanted)))
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise ArtifactError(
                f"{folder} was trained with {key} = {found.get(key)!r}, but this run has "
                f"{wanted.get(key)!r}; remove the checkpoints to train from the beginning"
            )
