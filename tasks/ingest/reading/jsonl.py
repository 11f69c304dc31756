"""Reads JSON lines: each line is one object, one record."""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from tasks.ingest.reading.records import PREVIEW_BYTES, Reason, Record, Refusal
from tasks.ingest.reading.streams import Line, read_lines, without_bom

_MAX_DEPTH = 64


class _RefusedError(ValueError):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def read_jsonl(pieces: Iterable[bytes], *, max_bytes: int) -> Iterator[Record | Refusal]:
    """The records of a file, one a line that is not blank.

    Of duplicate keys the last one counts, as most parsers have it. A line that cannot be trusted
    (invalid UTF-8 or JSON, lone surrogates, numbers no column can hold, nesting past 64, longer
    than `max_bytes`) is refused by itself.
    """
    number = 0
    for line in read_lines(pieces, max_bytes):
        data = without_bom(line)
        if data.strip():
            preview = data[:PREVIEW_BYTES]
            try:
                columns = parse_object(line, data)
                yield Record(number, line.offset, columns, preview=preview)
            except _RefusedError as refused:
                yield Refusal(number, refused.reason, line.offset, preview)
            number += 1


def parse_object(line: Line, data: bytes) -> dict[str, Any]:
    """The object that a line holds.

    Raises:
        _RefusedError: with the reason why it holds none.
    """
    if not line.is_whole:
        raise _RefusedError(Reason.TOO_LONG)
    value = _decode(data)
    if not isinstance(value, dict):
        raise _RefusedError(Reason.NOT_AN_OBJECT)
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH and _is_deeper(value, _MAX_DEPTH):
        raise _RefusedError(Reason.TOO_DEEP)
    if b"\\ud" in data or b"\\uD" in data:
        _check_surrogates(value)
    return value


def _decode(data: bytes) -> Any:
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise _RefusedError(Reason.INVALID_UTF8) from None
    except json.JSONDecodeError:
        raise _RefusedError(Reason.BAD_JSON) from None
    except RecursionError:
        raise _RefusedError(Reason.TOO_DEEP) from None


def _refuse_constant(text: str) -> NoReturn:
    raise _RefusedError(Reason.NOT_FINITE_NUMBER)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(Reason.NOT_FINITE_NUMBER)
    return value


def _bounded_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # the interpreter's guard against quadratic time, 4,300 digits
        raise _RefusedError(Reason.HUGE_INTEGER) from None


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite_float, parse_int=_bounded_int
)


def _is_deeper(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return depth == 0 or any(_is_deeper(item, depth - 1) for item in value)


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _RefusedError(Reason.LONE_SURROGATE) from None
