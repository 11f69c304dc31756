"""The base of every stage's settings: strict, immutable, and clear about what changes a result."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StageConfig(BaseModel):
    """Settings of one stage.

    Unknown keys are refused. A field made with `incidental` does not change the result of the
    stage (worker counts, devices, where the input lies) and stays out of its identity. One made
    with `added` is part of it only where it is set to something else than its default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def identity(self) -> dict[str, Any]:
        """The settings that change the result, as JSON values."""
        return self.model_dump(
            mode="json", exclude=_names_marked(type(self), "incidental") | self._added_and_unset()
        )

    def _added_and_unset(self) -> set[str]:
        fields = type(self).model_fields
        added = _names_marked(type(self), "added")
        return {name for name in added if getattr(self, name) == fields[name].default}

    def does_without(self) -> frozenset[str]:
        """Upstream stages whose artifacts the stage does not read with these settings."""
        return frozenset()


def incidental(default: Any, *, description: str, **constraints: Any) -> Any:
    """A pydantic field that does not change the stage's result."""
    extra: dict[str, Any] = {"incidental": True}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def added(default: Any, *, description: str, **constraints: Any) -> Any:
    """A pydantic field that a release added and whose default gives what was given before it.

    At its default it is left out of the identity, so that an upgrade makes nothing anew: artifacts
    of before the setting was there are still the ones that are asked for. The default must never
    change.
    """
    return Field(default, description=description, json_schema_extra={"added": True}, **constraints)


def one_or_several(value: Any) -> Any:
    """A single string where several are taken, as a tuple of one; for validators before others."""
    return (value,) if isinstance(value, str) else value


def _names_marked(config_type: type[StageConfig], mark: str) -> set[str]:
    return {
        name
        for name, field in config_type.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(mark)
    }
