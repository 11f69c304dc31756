"""What any archive is made of."""

from collections.abc import Iterator
from typing import NamedTuple

from tasks.ingest.reading.records import Reason


class Member(NamedTuple):
    """One entry of an archive.

    Attributes:
        name: as it stands there; bytes that are no text are lone surrogates.
        pieces: its content, to be read before the next member is asked for.
        reason: why it is no file, or none that can be read; None for a file.
        is_folder: whether it only names a folder.
    """

    name: str
    pieces: Iterator[bytes]
    reason: Reason | None
    is_folder: bool
