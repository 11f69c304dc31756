"""Turns settings into command-line options and their values back into settings."""

import argparse
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.config import PipelineConfig, suggestion
from model.errors import RequestError


def normalise(arguments: Sequence[str]) -> list[str]:
    """Make hyphens and underscores equal in ``--section.key-name`` options."""
    return [_normalise_option(argument) for argument in arguments]


def add_options(parser: argparse.ArgumentParser, sections: Sequence[str]) -> None:
    """Give the parser one option for every setting of the sections."""
    for section in sections:
        model = PipelineConfig.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        group = parser.add_argument_group(section)
        for name, field in model.model_fields.items():
            if (section, name) != ("ingest", "paths"):  # these are the positional PATHS
                _add_option(group, section, name, field)


def overrides(namespace: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The settings given on the command line: section -> key -> value."""
    given: dict[str, dict[str, Any]] = {}
    for option, text in vars(namespace).items():
        if "." in option and text is not None:
            section, name = option.split(".", 1)
            given.setdefault(section, {})[name] = _value(section, name, text)
    return given


def refuse_unknown(arguments: Sequence[str]) -> None:
    """Name the first argument no option took, with the nearest one that exists.

    Raises:
        RequestError: if there is any.
    """
    if arguments:
        argument = arguments[0].split("=", 1)[0]
        key = argument.removeprefix("--")
        hint = suggestion(key) if "." in key else "`corpusmith COMMAND --help` lists the options"
        raise RequestError(f"unknown option {argument}: {hint}")


def _normalise_option(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name.startswith("--") and "." in name:
        name = "--" + name[2:].replace("-", "_")
    return f"{name}{equals}{value}"


def _add_option(group: argparse._ArgumentGroup, section: str, name: str, field: FieldInfo) -> None:
    default = field.get_default(call_default_factory=True)
    choices = _choices(field.annotation)
    text = f"{field.description or ''} (default: {'none' if default is None else default})"
    group.add_argument(
        f"--{section}.{name}",
        dest=f"{section}.{name}",
        metavar="|".join(choices) if choices else name.rsplit("_", 1)[-1].upper(),
        help=text.replace("%", "%%"),
    )


def _choices(annotation: Any) -> list[str]:
    return [
        str(choice)
        for member in _members(annotation)
        if get_origin(member) is Literal
        for choice in get_args(member)
    ]


def _members(annotation: Any) -> tuple[Any, ...]:
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


def _value(section: str, name: str, text: str) -> Any:
    model = PipelineConfig.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    members = _members(model.model_fields[name].annotation)
    if type(None) in members and text.lower() == "none":
        return None
    if any(get_origin(member) in (list, tuple) for member in members):
        return [part.strip() for part in text.strip("[]").split(",") if part.strip()]
    return text
