"""The embedder as a registered model: its code as text, its weights as safetensors, no pickle."""

import json
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import Schema, TensorSpec

from tasks.tracking.records import EmbedderRegistered

TAG_PREFIX = "corpusmith."
CARD = "README.md"  # where people look first
MAX_DESCRIPTION_CHARACTERS = 5000  # of MLflow's database
MAX_DIGEST_CHARACTERS = 36
INPUT_EXAMPLE = ["A first document.", "Another one, about something else."]  # nobody's text
REQUIREMENTS = ("mlflow", "tokenizers", "transformers", "torch", "numpy")


class ModelRegistry:
    """The registered models of one MLflow."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def register(self, record: EmbedderRegistered, run_id: str | None) -> str:
        """The version with this metadata; made if there is none, by this run if by any. Returns
        its number."""
        tags = _tags(record.metadata)
        existing = self._find(record.name, tags)
        if existing:
            return existing
        self._make_name(record.name)
        model = self._find_or_make_model(record.name, run_id, tags)
        with tempfile.TemporaryDirectory(prefix="corpusmith-") as scratch:
            folder = Path(scratch) / "model"
            _save(Path(record.folder), folder, model.model_id)
            if record.card:
                (folder / CARD).write_text(record.card, "utf-8")
            self._client.log_model_artifacts(model.model_id, str(folder))
        if run_id:
            self._show_metrics(record, run_id, model.model_id)
        self._client.finalize_logged_model(model.model_id, "READY")
        made = self._client.create_model_version(
            record.name,
            source=model.artifact_location,
            run_id=run_id,
            tags=tags,
            description=cut_card(record.card) or None,
            # Without a run MLflow would look for the model at its default address, not ours.
            model_id=model.model_id if run_id else None,
        )
        return str(made.version)

    def _find_or_make_model(
        self, name: str, run_id: str | None, tags: dict[str, str]
    ) -> LoggedModel:
        """The model without a version that an earlier try has left, else a new one."""
        for model in self._client.search_logged_models([self._experiment_id], f"name = '{name}'"):
            if (model.source_run_id or None) == run_id and tags.items() <= model.tags.items():
                return model
        return self._client.create_logged_model(
            self._experiment_id, name=name, source_run_id=run_id, tags=tags
        )

    def _show_metrics(self, record: EmbedderRegistered, run_id: str, model_id: str) -> None:
        """On the model's page, where models are compared, and of which data they are."""
        name, digest = record.dataset or (None, None)
        metrics = [
            Metric(
                key,
                value,
                record.time_ms,
                0,
                model_id=model_id,
                dataset_name=name,
                dataset_digest=digest and digest[:MAX_DIGEST_CHARACTERS],
            )
            for key, value in record.metrics.items()
        ]
        if metrics:
            self._client.log_batch(run_id, metrics)

    def set_alias(self, name: str, metadata: Mapping[str, str], alias: str) -> None:
        """Point the alias at the version with this metadata.

        Raises:
            MlflowException: there is no such version.
        """
        version = self._find(name, _tags(metadata))
        if version is None:
            raise MlflowException.invalid_parameter_value(f"no version of {name} has {metadata}")
        self._client.set_registered_model_alias(name, alias, version)

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
        input_example=INPUT_EXAMPLE,
        mlflow_model=Model(model_id=model_id),
    )
    _say_what_comes_out(embedder, folder)


def _say_what_comes_out(embedder: Path, folder: Path) -> None:
    """MLflow makes "any" of a matrix in the type hints; the signature shall name its form."""
    dim = json.loads((embedder / "embedder.json").read_text("utf-8"))["dim"]
    model = Model.load(str(folder))
    vectors = Schema([TensorSpec(np.dtype(np.float32), (-1, dim))])
    model.signature = ModelSignature(inputs=model.signature.inputs, outputs=vectors)
    model.save(str(folder / MLMODEL_FILE_NAME))


def cut_card(card: str) -> str:
    """What MLflow takes as a description: all of the card, or its first sections."""
    if len(card) <= MAX_DESCRIPTION_CHARACTERS:
        return card
    more = f"\n\nThe rest stands in the model's `{CARD}`."
    first, _, _ = card[: MAX_DESCRIPTION_CHARACTERS - len(more)].rpartition("\n## ")
    return first + more


def _requirement(name: str) -> str:
    """The installed version, without the mark of a build (``+cpu``) that no index knows."""
    return f"{name}=={re.sub(r'[+].*', '', installed_version(name))}"


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{TAG_PREFIX}{key}": str(value) for key, value in metadata.items()}
