"""The sentence-transformers models that the user names, as systems to score; read from disk only.

Shape letters: N texts, D dimensions.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from model.errors import ArtifactError, RequestError
from tasks.stage import Reporter

SETTING = "evaluate.sentence_transformers"

_MODULES = "modules.json"  # what makes a folder one of theirs
_ROUTERS = ("router_config.json", "config.json")  # the second of older ones
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = "pytorch_model.bin"
_TEXTS_AT_ONCE = 256


def named_folders(folders: Sequence[str]) -> dict[str, Path]:
    """The folders by the name of their system, ``st_<folder name>``, in the order given.

    The name is in lower case, and what is neither letter, digit nor underscore becomes one, so
    that it can stand in the name of a metric. Nothing is loaded.

    Raises:
        RequestError: a folder is missing or holds no such model, or two have one name.
    """
    named: dict[str, Path] = {}
    for folder in folders:
        path = Path(folder).expanduser().resolve()
        name = "st_" + re.sub("[^a-z0-9_]", "_", path.name.lower())
        if not path.is_dir():
            raise RequestError(f"{SETTING}: {folder} is no folder on this machine; give its path")
        if not (path / _MODULES).is_file():
            raise RequestError(
                f"{SETTING}: {folder} holds no sentence-transformers model ({_MODULES} is "
                "missing); name a folder that SentenceTransformer.save wrote"
            )
        if name in named:
            raise RequestError(
                f"{SETTING}: {named[name]} and {folder} would both be named {name}; rename one"
            )
        named[name] = path
    return named


class SentenceTransformerSystem:
    """A model of the user's, asked as its makers meant: with its own prompts, if it has any.

    Attributes:
        name: its name in the tables.
    """

    cut_dims: Sequence[int] = ()

    def __init__(self, name: str, model: Any, report: Reporter) -> None:
        """Take a loaded `sentence_transformers.SentenceTransformer`."""
        self.name = name
        self._model = model
        self._report = report
        self._has_warned = False

    @classmethod
    def load(cls, name: str, folder: Path, *, device: torch.device, report: Reporter) -> Self:
        """Read the model from its folder alone: no network, no pickle, and no code it names.

        Raises:
            RequestError: there is no whole model.
        """
        from sentence_transformers import SentenceTransformer

        try:
            _refuse_pickles(folder)
            model = SentenceTransformer(
                str(folder),
                device=str(device),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except RequestError:
            raise
        except Exception as error:  # whatever its many parts raise
            reason = " ".join(str(error).split())
            raise RequestError(
                f"{SETTING}: {folder} cannot be read as a sentence-transformers model ({reason}); "
                "save it again, weights as safetensors"
            ) from error
        return cls(name, model, report)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [N, D], rows of unit length, of the texts as documents.

        The first time that some are longer than the model reads, a warning says how many.

        Raises:
            ArtifactError: a vector is not finite.
        """
        return self._encoded(texts, self._model.encode_document)

    def query_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same of the texts as queries; other vectors only if the model has other prompts."""
        return self._encoded(texts, self._model.encode_query)

    def _encoded(self, texts: Sequence[str], encode: Callable[..., Any]) -> NDArray[np.float32]:
        self._warn_of_cuts(texts)
        parts = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(texts[start : start + _TEXTS_AT_ONCE])
            parts.append(encode(part, normalize_embeddings=True, show_progress_bar=False))
            self._report.progress(start + len(part), len(texts), "texts")
        vectors_ND: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(vectors_ND).all():
            raise ArtifactError(
                f"{self.name} gives vectors that are not finite: its weights are unusable, take it "
                f"out of {SETTING}"
            )
        return vectors_ND

    def _warn_of_cuts(self, texts: Sequence[str]) -> None:
        if self._has_warned:
            return
        num_cut = num_cut_texts(self._model, texts)
        if num_cut:
            self._has_warned = True
            self._report.warning(
                f"{self.name} reads the first {self._model.max_seq_length} tokens of a text: of "
                f"{num_cut} of {len(texts)} texts it does not see the end"
            )


def _refuse_pickles(folder: Path) -> None:
    """The encoder's weights are not the only ones: further layers have files of their own."""
    for place in _module_folders(folder):
        path = place / _PICKLED
        if path.is_file() and not any((place / name).is_file() for name in _WEIGHTS):
            raise RequestError(
                f"{SETTING}: {path} is a pickle, which can run code and is never read; save the "
                "model again where you trust it, weights as safetensors"
            )


def _module_folders(folder: Path) -> list[Path]:
    """Where the model's parts lie; what else is below, such as checkpoints, is never read."""
    parts = json.loads((folder / _MODULES).read_text("utf-8"))
    found = [(folder / part["path"]).resolve() for part in parts]
    for place in found:  # grows: a router holds further parts, perhaps another router
        for path in (place / name for name in _ROUTERS):
            held = json.loads(path.read_text("utf-8")).get("types") if path.is_file() else None
            further = [(place / name).resolve() for name in held or ()]
            found += [each for each in further if each not in found]
    return found


def num_cut_texts(model: Any, texts: Sequence[str]) -> int:
    """How many of the texts have more tokens, special ones included, than the model reads."""
    limit = model.max_seq_length
    if limit is None or limit == float("inf"):
        return 0
    num_cut = 0
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = list(texts[start : start + _TEXTS_AT_ONCE])
        encoded: Mapping[str, Any] = model.tokenizer(part, truncation=False, verbose=False)
        num_cut += sum(len(ids) > limit for ids in encoded["input_ids"])
    return num_cut
