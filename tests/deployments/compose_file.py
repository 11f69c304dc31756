"""Reads `deployments/compose.yaml` as Docker Compose does, as far as that file goes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.contracts.code import ROOT

COMPOSE = ROOT / "deployments" / "compose.yaml"

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


class MissingVariableError(ValueError):
    """A variable that must be set is not; says what the file says."""


@dataclass(frozen=True)
class Service:
    """A service, its variables filled in.

    Attributes:
        command: as one would type it in the container.
        health: the words of its health check; none for what runs once.
        ports: those it listens on in its container.
        published: ``ADDRESS:PORT:PORT`` each.
        mounts: path in the container by what lies there: a volume's name, or a path.
        needs: services that must be healthy, or done, before.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    health: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    mounts: dict[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)


def variables(text: str) -> set[str]:
    """The names of all variables in a text that are to be filled in."""
    return {found[2] for found in _VARIABLE.finditer(text) if found[2]}


def filled_in(text: str, environment: Mapping[str, str]) -> str:
    """The text with ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}`` filled in.

    Raises:
        MissingVariableError: a variable with a message is unset or empty.
    """

    def value(found: re.Match[str]) -> str:
        dollar, name, way, word = found.groups()
        if dollar:
            return "$"
        given = environment.get(name, "")
        if given or way is None:
            return given
        if way == ":?":
            raise MissingVariableError(f"{name}: {word}")
        return str(word)

    return _VARIABLE.sub(value, text)


def read_services(environment: Mapping[str, str]) -> dict[str, Service]:
    """All services by name, with the environment's values in them.

    Raises:
        MissingVariableError: a variable with a message is unset or empty.
    """
    found = _filled_in_all(yaml.safe_load(COMPOSE.read_text("utf-8")), environment)
    return {name: _service(name, each) for name, each in found["services"].items()}


def _filled_in_all(node: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return filled_in(node, environment)
    if isinstance(node, dict):
        return {key: _filled_in_all(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled_in_all(each, environment) for each in node]
    return node


def _service(name: str, described: dict[str, Any]) -> Service:
    mounts = [each.split(":")[:2] for each in described.get("volumes", [])]
    temporary = [each.split(":")[0] for each in described.get("tmpfs", [])]
    return Service(
        name=name,
        command=described["command"],
        environment=described.get("environment", {}),
        health=described.get("healthcheck", {}).get("test", [])[1:],
        ports=described.get("expose", []),
        published=described.get("ports", []),
        mounts={place: source for source, place in mounts}
        | {place: f"{name}-{Path(place).name}" for place in temporary},
        needs=list(described.get("depends_on", {})),
    )
