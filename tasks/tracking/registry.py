"""The embedder as a registered model: its code as text, its weights as safetensors, no pickle."""

import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from tasks.tracking.records import EmbedderRegistered

CHAMPION = "champion"
TAG_PREFIX = "corpusmith."
REQUIREMENTS = ("mlflow", "tokenizers", "transformers", "torch", "numpy")


class ModelRegistry:
    """The registered models of one MLflow."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def register(self, record: EmbedderRegistered, run_id: str) -> str:
        """The version with this metadata; made if there is none. Returns its number."""
        tags = _tags(record.metadata)
        existing = self._find(record.name, tags)
        if existing:
            return existing
        self._make_name(record.name)
        model = self._client.create_logged_model(
            self._experiment_id, name=record.name, source_run_id=run_id, tags=tags
        )
        with tempfile.TemporaryDirectory(prefix="corpusmith-") as scratch:
            folder = Path(scratch) / "model"
            _save(Path(record.folder), folder, model.model_id)
            self._client.log_model_artifacts(model.model_id, str(folder))
        self._client.finalize_logged_model(model.model_id, "READY")
        made = self._client.create_model_version(
            record.name,
            source=model.artifact_location,
            run_id=run_id,
            tags=tags,
            model_id=model.model_id,
        )
        return str(made.version)

    def set_champion(self, name: str, metadata: Mapping[str, str]) -> None:
        """Point the alias at the version with this metadata.

        Raises:
            MlflowException: there is no such version.
        """
        version = self._find(name, _tags(metadata))
        if version is None:
            raise MlflowException.invalid_parameter_value(f"no version of {name} has {metadata}")
        self._client.set_registered_model_alias(name, CHAMPION, version)

    def _find(self, name: str, tags: Mapping[str, str]) -> str | None:
        """The newest version that carries all these tags."""
        versions = self._client.search_model_versions(f"name = '{name}'")
        matching = [int(each.version) for each in versions if tags.items() <= each.tags.items()]
        return str(max(matching)) if matching else None

    def _make_name(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _save(embedder: Path, folder: Path, model_id: str) -> None:
    if not embedder.is_dir():
        raise FileNotFoundError(f"{embedder} is gone")
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(Path(__file__).with_name("served_embedder.py")),  # run there, not here
        artifacts={"embedder": str(embedder)},
        model_config={"dim": None},  # the whole width, unless who loads it asks for less
        pip_requirements=[_requirement(name) for name in REQUIREMENTS],
        mlflow_model=Model(model_id=model_id),
    )


def _requirement(name: str) -> str:
    """The installed version, without the mark of a build (``+cpu``) that no index knows."""
    return f"{name}=={re.sub(r'[+].*', '', installed_version(name))}"


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{TAG_PREFIX}{key}": str(value) for key, value in metadata.items()}
