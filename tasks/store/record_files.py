"""Reads the records of runs from where they lie, each when it is asked for."""

from collections.abc import Callable, Sequence
from typing import Any, Self, overload

from model.errors import ArtifactError
from model.json_files import parse_json


class RecordFiles(Sequence[dict[str, Any]]):
    """The records of runs, each parsed when it is asked for and not kept: nights add up.

    Whoever asks for one may be told by an `ArtifactError` that it is damaged or cannot be read.

    Args:
        files: place of each, as a message names it, and what reads its bytes.
    """

    def __init__(self, files: Sequence[tuple[str, Callable[[], bytes]]]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> Self: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | Self:
        if isinstance(place, slice):
            return type(self)(self._files[place])
        where, read = self._files[place]
        try:
            return _parse(where, read())
        except OSError as error:
            advice = "let this user read it, or move it away"
            raise ArtifactError(f"{where} cannot be read ({error.strerror}): {advice}") from error


def _parse(where: str, raw: bytes) -> dict[str, Any]:
    try:
        record = parse_json(raw)
    except ValueError as error:
        raise ArtifactError(f"{where} is damaged: it is not JSON; move it away") from error
    if not isinstance(record, dict):
        raise ArtifactError(f"{where} is damaged: it is no record of a run; move it away")
    return record
