"""Checkpoints of a tuning run: embedders that load, with what a resume needs beside them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.errors import ArtifactError
from model.huggingface import load_encoder
from model.tuning import Tuner
from tasks.checkpoints import (
    Checkpoint,
    checkpoint_folder,
    newest_checkpoint,
    write_checkpoint,
)

_OPTIMIZER = "optimizer.safetensors"
_STATE = "state.json"


@dataclass
class Progress:
    """What a run has done so far.

    Attributes:
        step: updates done.
        before: what the starting vectors and weights gave.
        history: what was measured, by step, oldest first; step 0 is the trained bag of tokens.
    """

    step: int = 0
    before: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def save_progress(
    folder: Path, tuner: Tuner, progress: Progress, write_embedder: Callable[[Path], None]
) -> None:
    """Write the checkpoint of `progress.step` below `folder`.

    Args:
        write_embedder: writes the embedder as it is now into a folder.
    """

    def write_files(partial: Path) -> None:
        write_embedder(partial)
        save_file(tuner.state_tensors(), partial / _OPTIMIZER)
        (partial / _STATE).write_text(json.dumps(asdict(progress), indent=1), "utf-8")

    write_checkpoint(folder, progress.step, write_files)


def resume(folder: Path, tuner: Tuner, on_damaged: Callable[[Path], None]) -> Progress | None:
    """Put `tuner` where the newest whole checkpoint below `folder` left off; None without one.

    Everything after it is then the same, bit for bit, as in a run that was not interrupted.

    Raises:
        ArtifactError: the checkpoint is whole, but of another model.
    """
    checkpoint = newest_checkpoint(folder, on_damaged=on_damaged)
    return None if checkpoint is None else _take_up(checkpoint, tuner)


def go_back(folder: Path, step: int, tuner: Tuner) -> None:
    """Put `tuner` where the checkpoint of that step left off.

    Raises:
        ArtifactError: the checkpoint was damaged and is gone.
    """
    checkpoint = Checkpoint(step, checkpoint_folder(folder, step))
    if not checkpoint.folder.is_dir():
        raise ArtifactError(
            f"{checkpoint.folder}, where tune was best, was damaged: delete {folder} and run again"
        )
    _take_up(checkpoint, tuner)


def _take_up(checkpoint: Checkpoint, tuner: Tuner) -> Progress:
    tuner.encoder.load_state_dict(load_encoder(checkpoint.folder).state_dict())
    try:
        tuner.restore(load_file(checkpoint.folder / _OPTIMIZER))
        return Progress(**json.loads((checkpoint.folder / _STATE).read_text("utf-8")))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise ArtifactError(
            f"{checkpoint.folder} cannot be resumed from ({error}): delete it and run again"
        ) from None
