"""The models that a pretraining run left on its way, read without changing anything."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from model.huggingface import CONFIG_FILE, encoder_config_from, load_masked_lm
from model.initialization import initialize, predict_frequencies
from model.json_files import parse_json
from model.mlm import MaskedLanguageModel
from model.neighbour_heads import look_at_neighbours
from model.weight_files import WEIGHTS_FILE
from tasks.checkpoints import CHECKSUMS, UNSCHEDULED, Checkpoint
from tasks.store.hashing import sha256_of

Item = TypeVar("Item")
CHECKPOINTS = "checkpoints"
_PATTERN = "step-*"


@dataclass(frozen=True)
class SavedModel:
    """A model after `step` updates of its run, in evaluation mode; its encoder is `model.model`."""

    step: int
    model: MaskedLanguageModel


def find_checkpoints(pretrain: Path) -> list[Checkpoint]:
    """The scheduled checkpoints of a pretrain artifact by step, whole or not.

    None where there is no such folder, as in an encoder that was not trained here.
    """
    found = [
        Checkpoint(int(folder.name.removeprefix("step-")), folder)
        for folder in (pretrain / CHECKPOINTS).glob(_PATTERN)
        if folder.name.removeprefix("step-").isdecimal() and not (folder / UNSCHEDULED).exists()
    ]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def saved_models(
    pretrain: Path,
    *,
    most: int,
    device: torch.device,
    on_damaged: Callable[[Path], None],
) -> Iterator[SavedModel]:
    """The models of at most `most` checkpoints, evenly chosen, the last always among them.

    Loaded one at a time, when asked for. One whose weights or config are not those that were
    written is left out after `on_damaged` was told of its folder.

    Args:
        pretrain: folder of the artifact.
        most: at least 1.
        device: where the models are put.
        on_damaged: hears of the folders left out.

    Raises:
        ArtifactError: a checkpoint is as it was written, but of another format.

    Cost: reads the weights of each twice; the optimizer's state is not looked at.
    """
    for checkpoint in evenly_chosen(find_checkpoints(pretrain), most):
        if _is_as_written(checkpoint.folder):
            model = load_masked_lm(checkpoint.folder)
            yield SavedModel(checkpoint.step, model.to(device).eval())
        else:
            on_damaged(checkpoint.folder)


def untrained_model(
    pretrain: Path,
    *,
    seed: int,
    counts_V: NDArray[np.int64],
    looks_at_neighbours: bool,
    device: torch.device,
) -> SavedModel:
    """The model before the first update of a run that began with fresh weights, as step 0.

    Args:
        pretrain: folder of the artifact; its `config.json` gives the sizes.
        seed: the run's own (its `pretrain.seed`).
        counts_V: how often each token stands in the train split: the decoder's bias begins there.
        looks_at_neighbours: whether the run's `pretrain.initial_heads` is "neighbours".
        device: where the model is put.

    Raises:
        ArtifactError: the folder states no architecture.
    """
    config = encoder_config_from(pretrain)
    model = MaskedLanguageModel(config)
    initialize(model, config, seed)
    predict_frequencies(model, torch.from_numpy(counts_V))
    if looks_at_neighbours:
        look_at_neighbours(model, config)
    return SavedModel(0, model.to(device).eval())


def evenly_chosen(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items in order, evenly spread, first and last among them.

    The last alone where `most` is 1.
    """
    assert most > 0, "nothing is chosen of none"
    places = np.linspace(len(items) - 1, 0, min(most, len(items))).round().astype(int)
    return [items[place] for place in places[::-1]]


def _is_as_written(folder: Path) -> bool:
    """Whether what a model is loaded from has the hashes that were recorded of it."""
    try:
        recorded = parse_json((folder / CHECKSUMS).read_text(encoding="utf-8"))
        return all(
            recorded[name] == sha256_of(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
