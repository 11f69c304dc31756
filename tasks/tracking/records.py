"""What is told to the tracker, as records that can wait in a file and be sent more than once.

Runs are numbered within one run of corpusmith: 0 is the parent, the stages follow. Times are
milliseconds since 1970, taken when the record was made, so that a late one keeps its place.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from model.json_files import parse_json

PARENT = 0
CHAMPION = "champion"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The first record: whose run this is and where it goes; no `uri` means the workspace's own."""

    run_id: str
    uri: str | None
    experiment: str


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run of MLflow's begins: the parent, or a stage nested in it."""

    run: int
    name: str
    tags: dict[str, str]
    params: dict[str, str]
    time_ms: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Named numbers at a step."""

    run: int
    values: dict[str, float]
    step: int
    time_ms: int


@dataclass(frozen=True, kw_only=True)
class Tagged:
    """A tag of a run; a later value replaces it."""

    run: int
    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class FileKept:
    """A file or folder to copy to the run, below `folder` there."""

    run: int
    path: str
    folder: str | None


@dataclass(frozen=True, kw_only=True)
class DatasetUsed:
    """Data the run read or made: its name, hash, place, what it was for, and its counts."""

    run: int
    name: str
    digest: str
    source: str
    context: str
    profile: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EmbedderRegistered:
    """A sentence-transformers folder to register as a version of the model `name`.

    `card` describes it in Markdown; `metrics` are shown with the model, as measured on the data
    that the run knows by the name and digest in `dataset`.
    """

    run: int
    registration: int
    folder: str
    name: str
    metadata: dict[str, str]
    card: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    dataset: tuple[str, str] | None = None
    time_ms: int = field(default_factory=lambda: now_ms())


@dataclass(frozen=True, kw_only=True)
class ChampionSet:
    """The alias moves to the version registered with this metadata."""

    name: str
    metadata: dict[str, str]
    alias: str = CHAMPION


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """A run is over: FINISHED, FAILED or KILLED."""

    run: int
    status: str
    time_ms: int


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The sender's own note: all before `offset` has arrived; MLflow's ids of runs it made."""

    offset: int
    runs: dict[str, str] = field(default_factory=dict)


Record = (
    Opened
    | RunStarted
    | Measured
    | Tagged
    | FileKept
    | DatasetUsed
    | EmbedderRegistered
    | ChampionSet
    | RunEnded
    | Sent
)
_KINDS: dict[str, type[Record]] = {kind.__name__: kind for kind in get_args(Record)}


def now_ms() -> int:
    """The time as MLflow counts it."""
    return time.time_ns() // 1_000_000


def encode(record: Record) -> bytes:
    """One line of JSON, newline included."""
    fields = asdict(record)
    if isinstance(record, Measured):
        fields["values"] = {name: _json_number(value) for name, value in record.values.items()}
    line = json.dumps({"kind": type(record).__name__, **fields}, separators=(",", ":"))
    return line.encode() + b"\n"


def decode(line: bytes) -> Record | None:
    """The record in a line; None where the line is damaged or of a later version."""
    try:
        fields: dict[str, Any] = parse_json(line)
        record = _KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if isinstance(record, Measured):
        values: Mapping[str, float | str] = record.values
        record.values.update({name: float(value) for name, value in values.items()})
    return record


def _json_number(value: float) -> float | str:
    """JSON has no NaN and no infinity; those travel as text."""
    return value if math.isfinite(value) else repr(value)
