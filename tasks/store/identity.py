"""Names a stage's request before any work: equal requests have equal ids, on every machine."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tasks.store.canonical import canonical_json, short_hash

__all__ = ["Identity", "canonical_json", "explain_difference", "input_id_of", "stage_of_input"]

STAGE_PATTERN = r"^[a-z][a-z0-9_-]*$"

ERASED_SOURCE = "(erased documents)"  # among a corpus's sources, with what stands for them all
_MAX_FILES_NAMED = 5
_ABSENT = object()


def input_id_of(
    *,
    stage: str,
    version: int,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    sources: Any,
) -> str:
    """The id of a request: 32 hexadecimal digits.

    Args:
        stage: the stage's name.
        version: the stage's version, raised by hand when its output changes.
        settings: those that change the result.
        inputs: the input_id of each upstream stage, by its name.
        sources: what identifies inputs that are no artifacts; never a path that is absolute.
    """
    return short_hash(
        {
            "stage": stage,
            "version": version,
            "settings": settings,
            "inputs": inputs,
            "sources": sources,
        }
    )


def stage_of_input(name: str) -> str:
    """The stage that made an input: its name, up to a slash where several of one stage are read
    (``evaluate/half``)."""
    return name.partition("/")[0]


class Identity(BaseModel):
    """A request: everything that decides what a stage's result will be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str = Field(pattern=STAGE_PATTERN)
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]  # input_id by name, see `stage_of_input`
    sources: Any = None

    @property
    def input_id(self) -> str:
        """The request's id, as in ``artifacts/<stage>/<input_id>``."""
        return input_id_of(
            stage=self.stage,
            version=self.version,
            settings=self.settings,
            inputs=self.inputs,
            sources=self.sources,
        )


def explain_difference(old: Identity, new: Identity) -> list[str]:
    """What makes `new` another request than `old`, one line each; empty when they are equal."""
    reasons = []
    if old.version != new.version:
        reasons.append(f"{new.stage}: stage version {old.version} -> {new.version}")
    for name, before, after in _changes(_flat(old.settings), _flat(new.settings)):
        reasons.append(f"{new.stage}.{name}: {_shown(before)} -> {_shown(after)}")
    for upstream, before, after in _changes(old.inputs, new.inputs):
        reasons.append(_input_reason(new.stage, upstream, before, after))
    reasons.extend(_source_reasons(old, new))
    return reasons


def _input_reason(stage: str, upstream: str, before: Any, after: Any) -> str:
    if before is _ABSENT:
        return f"{stage}: reads {upstream} now"
    if after is _ABSENT:
        return f"{stage}: reads {upstream} no more"
    return f"{stage}: {upstream} ran with other settings or inputs"


def _source_reasons(old: Identity, new: Identity) -> list[str]:
    files = list(_changes(dict(_files(old.sources)), dict(_files(new.sources))))
    erased = [f"{new.stage}: documents were erased" for name, *_ in files if name == ERASED_SOURCE]
    files = [change for change in files if change[0] != ERASED_SOURCE]
    lines = [f"{new.stage}: source file {name} {_fate(a, b)}" for name, a, b in files]
    if len(lines) > _MAX_FILES_NAMED:
        more = len(lines) - _MAX_FILES_NAMED
        lines[_MAX_FILES_NAMED:] = [f"{new.stage}: {more} more source files changed"]
    others = _changes(_flat({"sources": old.sources}), _flat({"sources": new.sources}))
    if not lines and not erased:
        lines = [f"{new.stage}: {name}: {_shown(a)} -> {_shown(b)}" for name, a, b in others]
    return erased + lines


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*old, *new}):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if _ABSENT in (before, after) or canonical_json(before) != canonical_json(after):
            yield name, before, after


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _files(sources: Any) -> Iterator[tuple[str, Any]]:
    """The (name, hash) of every file in `sources`, in any of the usual spellings."""
    match sources:
        case {"name": str(name), "sha256": str(sha256)}:
            yield name, sha256
        case Mapping():
            yield from ((k, v) for k, v in sources.items() if _is_sha256(v))
            for value in sources.values():
                yield from _files(value)
        case list() | tuple():
            for item in sources:
                yield from [item] if _is_pair(item) else _files(item)


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and list(map(type, item)) == [str, str]


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _fate(before: Any, after: Any) -> str:
    if before is _ABSENT:
        return "is new"
    return "is gone" if after is _ABSENT else "changed"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not set"
    text = canonical_json(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
