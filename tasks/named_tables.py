"""Opens a table that a setting names, whatever its maker meant: what it unpacks to is bounded."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tasks.ingest.containers.byte_reader import file_pieces
from tasks.ingest.containers.decompress import decompress, is_compressed
from tasks.ingest.reading.records import FileRefusedError, Reason
from tasks.ingest.tables.arrow_checks import checked_parts
from tasks.ingest.tables.arrow_files import ParquetBatches

_HEAD_BYTES = 16


def opened(path: Path) -> io.BufferedReader:
    """A file's content, decompressed where it is compressed.

    Raises:
        OSError: it cannot be read; here or from the reader.
        ValueError: from the reader, where it is damaged or grows over 250 times its size.
    """
    file = path.open("rb")
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return io.BufferedReader(_Unpacked(file)) if is_compressed(head) else file


def parquet_rows(file: BinaryIO) -> Iterator[Mapping[str, Any]]:
    """The rows of a Parquet file, at most sixteen at a time in memory.

    Raises:
        ValueError: it is damaged, or a value in it is not what its column is of.
    """
    try:
        found = ParquetBatches(file)
        for batch in found.batches():
            for rows, is_valid in checked_parts(batch, found.reason):
                if not is_valid:
                    raise ValueError("a text in it is not UTF-8")
                yield from rows.to_pylist()
    except FileRefusedError as refused:
        raise ValueError(_words(refused)) from None
    except (OverflowError, LookupError) as error:  # such as a date too far away
        raise ValueError(f"a value in it cannot be read: {error}") from None


def lines_of(lines: io.TextIOBase, max_characters: int) -> Iterator[str]:
    """The lines with their ends.

    Raises:
        ValueError: one is longer than that, of which no more is read.
    """
    number = 0
    while line := lines.readline(max_characters + 1):
        number += 1
        if len(line) > max_characters:
            raise ValueError(f"line {number} is longer than {max_characters:,} characters")
        yield line


class _Unpacked(io.RawIOBase):
    """The stream of bytes that a compressed file stands for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pieces = decompress(file_pieces(file))
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            while not self._rest and (piece := next(self._pieces, None)) is not None:
                self._rest = memoryview(piece)  # a part of it is no copy of all that follows
        except FileRefusedError as refused:
            raise ValueError(_words(refused)) from None
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()


def _words(refused: FileRefusedError) -> str:
    reason: Reason = refused.refusal.reason
    return reason.value.replace("_", " ")
