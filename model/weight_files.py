"""Reads a model's tensors from safetensors files, whole or in shards, and never from a pickle.

Names, shapes and types are read first, from the headers alone, so that what does not fit is
refused before any memory is taken for it.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.errors import ArtifactError
from model.json_files import read_json

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"  # names the shards of a model too large for one file
PICKLED_FILES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth")
READABLE_TYPES = ("F32", "BF16", "F16")  # all of them fit into float32 exactly


@dataclass(frozen=True)
class StoredTensor:
    """What a header says of one tensor.

    Attributes:
        path: the file that holds it.
        name: what it is called there.
        shape: its sizes.
    """

    path: Path
    name: str
    shape: tuple[int, ...]

    @property
    def num_elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights of the model in `folder`, in the order of their names.

    Raises:
        ArtifactError: there are none, or only pickled ones, or the list of shards is damaged.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if (folder / INDEX_FILE).is_file():
        return sorted({folder / name for name in _weight_map(folder).values()})
    for name in PICKLED_FILES:
        if (folder / name).is_file():
            raise ArtifactError(
                f"{folder / name} is a pickle, which can run code and is never read; convert it "
                "where you trust it: transformers' AutoModelForMaskedLM.from_pretrained(folder)"
                ".save_pretrained(new_folder) writes safetensors"
            )
    raise ArtifactError(f"{folder / WEIGHTS_FILE} is missing; choose a folder with a saved model")


def stored_tensors(
    folder: Path, *, counts: Callable[[str], bool] = lambda name: True
) -> dict[str, StoredTensor]:
    """What is in the weight files of `folder`, by name; reads their headers only.

    Args:
        folder: holds the files.
        counts: whether a tensor of this name matters; the others may be of any type.

    Raises:
        ArtifactError: there are no such files, one is damaged, a shard does not hold what the
            index says, or a tensor is neither float32 nor bfloat16 nor float16.
    """
    found: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        with _opened(path) as file:
            for name in sorted(file.keys()):
                if name in found:
                    raise ArtifactError(
                        f"{path} holds {name}, and so does {found[name].path.name}; write it again"
                    )
                found[name] = _described(file, name, path, any_type=not counts(name))
    if not (folder / WEIGHTS_FILE).is_file():
        _refuse_other_places(folder, found)
    return {name: tensor for name, tensor in found.items() if counts(name)}


def read_tensors(stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
    """The tensors themselves, under the names they are given by, widened to float32, on the CPU.

    Raises:
        ArtifactError: a file has become unreadable.
    """
    tensors: dict[str, Tensor] = {}
    for path in sorted({tensor.path for tensor in stored.values()}):
        with _opened(path) as file:
            for name in [name for name in stored if stored[name].path == path]:
                tensors[name] = file.get_tensor(stored[name].name).to(torch.float32)
    return tensors


def refuse_misfit(
    stored: Mapping[str, StoredTensor], shapes: Mapping[str, tuple[int, ...]], folder: Path
) -> None:
    """Refuses stored tensors whose names or shapes are not the wanted ones.

    Raises:
        ArtifactError: the first that is missing, unexpected or of another shape.
    """
    if wrong := sorted(set(shapes) ^ set(stored)):
        raise ArtifactError(
            f"{_place(stored, folder)}: missing or unexpected {', '.join(wrong[:3])}"
            f"{' …' if len(wrong) > 3 else ''}; its config.json describes another model"
        )
    for name, shape in shapes.items():
        if stored[name].shape != shape:
            raise ArtifactError(
                f"{stored[name].path}: {name} has shape {list(stored[name].shape)} where "
                f"config.json asks for {list(shape)}; choose a folder whose parts belong together"
            )


def _place(stored: Mapping[str, StoredTensor], folder: Path) -> Path:
    paths = {tensor.path for tensor in stored.values()}
    return paths.pop() if len(paths) == 1 else folder


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open safetensors file; the library checks its header against its length."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; choose a folder with a saved model") from error
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path} is damaged ({error}); write it again") from error


def _described(file: Any, name: str, path: Path, *, any_type: bool) -> StoredTensor:
    part = file.get_slice(name)
    if not any_type and part.get_dtype() not in READABLE_TYPES:
        raise ArtifactError(
            f"{path}: {name} has type {part.get_dtype()}, not one of {', '.join(READABLE_TYPES)}; "
            "save the model in float32"
        )
    return StoredTensor(path, name, tuple(part.get_shape()))


def _weight_map(folder: Path) -> dict[str, str]:
    """The file of every tensor, as the index says it."""
    path = folder / INDEX_FILE
    try:
        places = read_json(path)["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is no list of shards ({error!r}); write it again") from error
    if not isinstance(places, dict) or not places or not _are_plain(places.values()):
        raise ArtifactError(
            f"{path}: its weight_map must name .safetensors files beside it; write it again"
        )
    return places


def _are_plain(names: Collection[Any]) -> bool:
    return all(
        isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors")
        for name in names
    )


def _refuse_other_places(folder: Path, found: Mapping[str, StoredTensor]) -> None:
    told = _weight_map(folder)
    there = {name: tensor.path.name for name, tensor in found.items()}
    wrong = sorted(name for name in told.keys() | there if told.get(name) != there.get(name))
    if wrong:
        raise ArtifactError(
            f"{folder / INDEX_FILE}: {wrong[0]} is not in the file it names; write the model again"
        )
