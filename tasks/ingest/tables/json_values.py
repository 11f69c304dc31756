"""Decodes JSON values from bytes, and names the reason where one cannot be trusted."""

import json
import math
from typing import Any, NoReturn

from tasks.ingest.reading.records import Reason

_MAX_DEPTH = 64


class RefusedValueError(ValueError):
    """Raised for bytes that hold no value to be trusted."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def decode_object(data: bytes) -> dict[str, Any]:
    """The object that the bytes hold.

    Raises:
        RefusedValueError: there is none, or see `decode_value`.
    """
    value = decode_value(data)
    if not isinstance(value, dict):
        raise RefusedValueError(Reason.NOT_AN_OBJECT)
    return value


def decode_string(data: bytes) -> str:
    """The string that the bytes hold.

    Raises:
        RefusedValueError: there is none, or see `decode_value`.
    """
    value = decode_value(data)
    if not isinstance(value, str):
        raise RefusedValueError(Reason.TEXT_NOT_STRING)
    return value


def decode_value(data: bytes) -> Any:
    """The one value that the bytes hold, in UTF-8.

    Raises:
        RefusedValueError: invalid UTF-8 or JSON, a key twice in one object, lone surrogates,
            numbers that no column can hold, or nesting past 64.
    """
    value = _decode(data)
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH and _is_deeper(value, _MAX_DEPTH):
        raise RefusedValueError(Reason.TOO_DEEP)
    if b"\\ud" in data or b"\\uD" in data:
        _check_surrogates(value)
    return value


def _decode(data: bytes) -> Any:
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except RefusedValueError:
        raise
    except UnicodeDecodeError:
        raise RefusedValueError(Reason.INVALID_UTF8) from None
    except json.JSONDecodeError:
        raise RefusedValueError(Reason.BAD_JSON) from None
    except ValueError:  # the interpreter's guard against quadratic time, 4,300 digits
        raise RefusedValueError(Reason.HUGE_INTEGER) from None
    except RecursionError:
        raise RefusedValueError(Reason.TOO_DEEP) from None


def _refuse_constant(text: str) -> NoReturn:
    raise RefusedValueError(Reason.NOT_FINITE_NUMBER)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RefusedValueError(Reason.NOT_FINITE_NUMBER)
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise RefusedValueError(Reason.DUPLICATE_KEY)
    return values


# Integers have no hook of their own: the decoder's built-in way is much faster.
_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_unique_keys
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
        raise RefusedValueError(Reason.LONE_SURROGATE) from None
