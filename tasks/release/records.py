"""JSON records that say their format's version, so that an older corpusmith refuses a newer one."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import ArtifactError
from model.json_files import parse_json
from tasks.store.errors import FormatError

FORMAT_VERSION = 1


class Record(BaseModel):
    """What all of them have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = Field(default=FORMAT_VERSION, ge=1)


AnyRecord = TypeVar("AnyRecord", bound=Record)


def render(record: Record) -> bytes:
    """The record as a JSON file."""
    return record.model_dump_json(indent=1).encode()


def parse(
    kind: type[AnyRecord], raw: bytes, where: str, *, known_as: str, if_damaged: str
) -> AnyRecord:
    """The record in the bytes of a JSON file.

    Args:
        kind: of record.
        raw: the bytes.
        where: they come from, for messages.
        known_as: what the format is called, for messages.
        if_damaged: what to do then, for messages.

    Raises:
        FormatError: a newer corpusmith wrote it.
        ArtifactError: it is damaged.
    """
    try:
        version = parse_json(raw)["format_version"]
        if version == FORMAT_VERSION:
            return kind.model_validate_json(raw)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{where} is damaged: {if_damaged}") from error
    raise FormatError(f"{where} needs version {version} of {known_as}: update corpusmith")
