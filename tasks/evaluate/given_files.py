"""What identifies what the settings name: its contents, not where it lies."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.errors import RequestError
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.other_embedders import SETTING, other_embedders
from tasks.evaluate.sentence_transformer_folders import named_folders
from tasks.settings import StageConfig


def sources(config: StageConfig) -> dict[str, Any] | None:
    """The SHA-256 of each file by setting, and for a folder by model and file; of each embedder to
    compare with its content_id and its corpus's, by its name. None where nothing is named.

    Raises:
        RequestError: a file is missing or cannot be read, or a folder is no model or embedder.
        ArtifactError: an embedder or its corpus is damaged.
    """
    assert isinstance(config, EvaluateConfig)
    files: dict[str, Any] = {name: _digest(path, name) for name, path in _files(config)}
    others = {other.name: other.identity for other in other_embedders(config.compare_with)}
    return files | ({SETTING: others} if others else {}) or None


def _files(config: EvaluateConfig) -> Iterator[tuple[str, Path]]:
    for setting in ("similarity_pairs", "relevance"):
        path = getattr(config, setting)
        if path is not None:
            yield setting, Path(path)
    for name, folder in named_folders(config.sentence_transformers).items():
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield f"{name}/{path.relative_to(folder).as_posix()}", path


def _digest(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(
            f"evaluate.{name}: {path} cannot be read ({reason}): name a file that is there"
        ) from None
