"""The base of every stage's settings: strict, immutable, and clear about what changes a result."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StageConfig(BaseModel):
    """Settings of one stage.

    Unknown keys are refused. A field made with `incidental` does not change the result of the
    stage (worker counts, devices, where the input lies) and stays out of its identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def identity(self) -> dict[str, Any]:
        """The settings that change the result, as JSON values."""
        return self.model_dump(mode="json", exclude=_incidental_names(type(self)))


def incidental(default: Any, *, description: str, **constraints: Any) -> Any:
    """A pydantic field that does not change the stage's result."""
    extra: dict[str, Any] = {"incidental": True}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def one_or_several(value: Any) -> Any:
    """A single string where several are taken, as a tuple of one; for validators before others."""
    return (value,) if isinstance(value, str) else value


def _incidental_names(config_type: type[StageConfig]) -> set[str]:
    return {
        name
        for name, field in config_type.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("incidental")
    }
