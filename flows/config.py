"""The settings of a whole run: one section a stage, from a preset or file, with overrides."""

import difflib
import re
import textwrap
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.errors import RequestError
from model.json_files import read_text
from tasks.drift.config import DriftConfig
from tasks.evaluate.config import EvaluateConfig
from tasks.export.config import ExportConfig
from tasks.ingest.config import IngestConfig
from tasks.pretrain.config import PretrainConfig
from tasks.probe.config import ProbeConfig
from tasks.release.margin import DEFAULT_MARGIN
from tasks.tokenize.config import TokenizeConfig
from tasks.tune.config import TuneConfig, refuse_layer_above
from tasks.vocab.config import VocabConfig

INLINE = "inline"

_MAX_BYTES = 2**20
_SHOWN_CHARACTERS = 200

_DASK = re.compile(r"local:[1-9][0-9]{0,2}|(tcp|tls)://[^\s/@]+:[0-9]+")
_ADDRESS = re.compile(r"(\w://)[^\s\"']*")


class PrivacyConfig(BaseModel):
    """What may leave the workspace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples: bool = Field(False, description="send text of documents to the tracker")


class TrackingConfig(BaseModel):
    """Where runs are recorded; the server itself is named by MLFLOW_TRACKING_URI."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str = Field("corpusmith", min_length=1, description="name of the MLflow experiment")


class WorkersConfig(BaseModel):
    """Who works on what. Changes no result, so it is part of no artifact's identity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu_stages: str = Field(
        INLINE,
        min_length=1,
        description="where pretrain, tune and export run: inline = where the pipeline does, else "
        "the name of the Prefect work pool whose workers take them",
    )
    deadline_s: float = Field(
        600.0, gt=0, description="seconds within which such a worker must have begun with a stage"
    )
    dask: str | None = Field(
        None,
        description="Dask workers that do the work on shards (ingest, vocab, tokenize, export): a "
        "scheduler's address such as tcp://HOST:8786, or local:N = N processes on this machine",
    )

    @field_validator("dask")
    @classmethod
    def _is_a_place(cls, dask: str | None) -> str | None:
        if dask is not None and not _DASK.fullmatch(dask):
            raise ValueError("a scheduler is tcp://HOST:PORT or tls://HOST:PORT, or local:N")
        return dask


class ReleaseConfig(BaseModel):
    """When a run replaces what is published. Changes no result, so it is part of no identity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    publish: Literal["better", "always", "never"] = Field(
        "better",
        description="whether another embedder than the released one is published: better = if a "
        "trial on documents that both hold out says so, always = without a trial, never = it is "
        "only registered; a first release, and new embeddings by the released embedder, always are",
    )
    margin: float = Field(
        DEFAULT_MARGIN,
        gt=0,
        lt=1,
        description="of recall@1: an embedder that may be worse by this much counts as worse, "
        "however well it does on new documents",
    )


class NotifyConfig(BaseModel):
    """Who is told of runs that failed and of new releases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
        description="a notification block saved in Prefect, as TYPE/NAME: slack-webhook/ops",
    )


class RefreshConfig(BaseModel):
    """Whether a refresh that finds drift may train anew, and how much of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    may_train: bool = Field(
        False, description="start the whole chain where new documents have drifted, not only say so"
    )
    cooldown_days: float = Field(
        7.0, ge=0, description="days since the last whole chain began before another is started"
    )
    gpu_hours: float = Field(
        0.0,
        ge=0,
        description="hours of pretrain, tune and export, each GPU's added up, that whole chains "
        "may take in 30 days, the one to be started included; 0 starts none",
    )


class PipelineConfig(BaseModel):
    """All settings of the chain. Each section has defaults that fit a small corpus."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ingest: IngestConfig = IngestConfig()
    vocab: VocabConfig = VocabConfig()
    tokenize: TokenizeConfig = TokenizeConfig()
    pretrain: PretrainConfig = PretrainConfig()
    tune: TuneConfig = TuneConfig()
    probe: ProbeConfig = ProbeConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportConfig = ExportConfig()
    drift: DriftConfig = DriftConfig()
    refresh: RefreshConfig = RefreshConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    tracking: TrackingConfig = TrackingConfig()
    workers: WorkersConfig = WorkersConfig()
    release: ReleaseConfig = ReleaseConfig()
    notify: NotifyConfig = NotifyConfig()


def presets() -> list[str]:
    """The names of the presets that ship with corpusmith."""
    folder = resources.files("deployments") / "configs"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name[-5:] == ".toml")


def load_config(source: str, overrides: Mapping[str, Mapping[str, Any]]) -> PipelineConfig:
    """Read a preset or a TOML file and lay the overrides over it.

    Args:
        source: a preset's name, or the path of a ``.toml`` file.
        overrides: section -> key -> value, as from the command line.

    Raises:
        RequestError: no such preset or file, a key nobody knows, or a value out of range.
    """
    values = _read_toml(source)
    for section, settings in overrides.items():
        if not isinstance(values.setdefault(section, {}), dict):
            raise RequestError(
                f"{section} in {source} is no table of settings: write [{section}] there and a "
                "line for each key below it"
            )
        values[section].update(settings)
    return validate(values, where=source)


def validate(values: Mapping[str, Any], *, where: str) -> PipelineConfig:
    """Check plain values against the models, with one line for the first thing wrong."""
    try:
        config = PipelineConfig.model_validate(values)
    except ValidationError as error:
        raise RequestError(_first_problem(error, where)) from None
    refuse_layer_above(config.tune, config.pretrain.shape.num_layers)
    return config


def keys_of(section: str) -> list[str]:
    """The setting names of one section."""
    model = PipelineConfig.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return list(model.model_fields)


def suggestion(key: str) -> str:
    """A hint for a key nobody knows: the nearest known one, else where to look."""
    known = [
        f"{section}.{name}" for section in PipelineConfig.model_fields for name in keys_of(section)
    ]
    known += list(PipelineConfig.model_fields)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not near and "." in key:
        tail = key.split(".", 1)[1]
        near = [name for name in known if name.endswith(f".{tail}")]
    return f"did you mean {near[0]}?" if near else "`corpusmith run --help` lists the keys"


def _read_toml(source: str) -> dict[str, Any]:
    path = Path(source)
    if source in presets():
        text = (resources.files("deployments") / "configs" / f"{source}.toml").read_text("utf-8")
    elif path.is_file():
        text = _text_of(path)
    else:
        names = ", ".join(presets())
        raise RequestError(
            f"config {source!r} is neither a preset nor a file: use one of {names}, or a .toml file"
        )
    try:
        return tomllib.loads(text)
    except ValueError as error:  # of TOML, or of a number with thousands of digits
        raise RequestError(f"config {source} is not valid TOML: {error}") from None
    except RecursionError:
        raise RequestError(f"config {source} is nested too deep: write plain tables") from None


def _text_of(path: Path) -> str:
    try:
        return read_text(path, _MAX_BYTES)
    except (OSError, ValueError) as error:
        raise RequestError(f"config {path} cannot be read: {error}") from None


def _first_problem(error: ValidationError, where: str) -> str:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key} in {where}: {suggestion(key)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}, got {_shown(problem['input'])} ({where})"


def _shown(value: Any) -> str:
    """A wrong value; of an address only how it begins, as the path of a webhook is a secret."""
    shown = _ADDRESS.sub(r"\1...", repr(value))
    return textwrap.shorten(shown, _SHOWN_CHARACTERS, placeholder="…")
