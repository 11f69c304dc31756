"""Types of metadata columns: found from values, unified over the whole corpus, applied on writing.

Integers and floats meet in double; whatever else differs meets in string, where strings stay as
they are and other values become JSON text. Nothing is lost on the way but the exactness of
integers past 2**53 in a column that also has floats.
"""

import datetime
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tasks.ingest.tables.csv_rows import CsvCell

_TIME_UNITS = ("s", "ms", "us", "ns")


def kind_of(value: Any) -> object:
    """A cheap, hashable key: values of one kind have one type, so that it is found just once."""
    if isinstance(value, CsvCell):
        return kind_of(value.value)
    if isinstance(value, list):
        return frozenset(map(kind_of, value))
    if isinstance(value, int) and not _fits_int64(value):
        return "huge"
    return type(value)


def type_of(value: Any) -> pa.DataType:
    """The type of a JSON value or CSV cell; null where it says nothing about its column."""
    if isinstance(value, CsvCell):
        return type_of(value.value)
    if value is None:
        return pa.null()
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.int64() if _fits_int64(value) else pa.string()
    if isinstance(value, float):
        return pa.float64()
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return pa.list_(unify_all([type_of(item) for item in value]))
    return pa.string()


def unify_all(types: Sequence[pa.DataType]) -> pa.DataType:
    """The type that holds values of all these types."""
    whole = pa.null()
    for one in types:
        whole = unify(whole, one)
    return whole


def unify(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """The type that holds values of both types."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if _is_number(left) and _is_number(right):
        return _unify_numbers(left, right)
    if pa.types.is_list(left) and pa.types.is_list(right):
        return pa.list_(unify(left.value_type, right.value_type))
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right) and left.tz == right.tz:
        return pa.timestamp(max(left.unit, right.unit, key=_TIME_UNITS.index), left.tz)
    return pa.string()


def stored_type(found: pa.DataType) -> pa.DataType:
    """The type a column is written with: where nothing was ever said, string."""
    if pa.types.is_null(found):
        return pa.string()
    if pa.types.is_list(found):
        return pa.list_(stored_type(found.value_type))
    return found


def plain_type(found: pa.DataType) -> pa.DataType:
    """The type of a Parquet column without its encoding: no dictionaries, extensions or views.

    Lists of fixed size become lists, since pyarrow writes nulls among them that it cannot read.
    """
    if isinstance(found, pa.BaseExtensionType):
        return plain_type(found.storage_type)
    if pa.types.is_dictionary(found) or pa.types.is_run_end_encoded(found):
        return plain_type(found.value_type)
    if pa.types.is_large_string(found) or pa.types.is_string_view(found):
        return pa.string()
    if pa.types.is_large_binary(found) or pa.types.is_binary_view(found):
        return pa.binary()
    if (
        pa.types.is_list(found)
        or pa.types.is_large_list(found)
        or pa.types.is_fixed_size_list(found)
    ):
        return pa.list_(plain_type(found.value_type))
    return found


def to_array(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    """Values of any kind as one array of the stored type.

    Raises:
        pa.ArrowInvalid: the type cannot hold one of the values, such as a date too far for it.
    """
    if not {type(value) for value in values} <= _ready_types(target):
        values = [_convert(value, target) for value in values]
    return pa.array(values, type=target)


def _ready_types(target: pa.DataType) -> set[type]:
    """Python types whose values Arrow takes as they are."""
    ready: dict[pa.DataType, type] = {
        pa.string(): str,
        pa.int64(): int,
        pa.float64(): float,
        pa.bool_(): bool,
        pa.binary(32): bytes,
    }
    return {ready[target], type(None)} if target in ready else set()


def _convert(value: Any, target: pa.DataType) -> Any:
    if value is None or isinstance(value, pa.Scalar):
        return _convert_scalar(value, target)
    if isinstance(value, CsvCell):
        return (value.text or None) if pa.types.is_string(target) else value.value
    if pa.types.is_string(target):
        return value if isinstance(value, str) else _json_text(value)
    if pa.types.is_list(target):
        return [_convert(item, target.value_type) for item in value]
    if pa.types.is_floating(target):
        return float(value)  # Arrow refuses integers past 2**53 here
    return value


def _convert_scalar(value: pa.Scalar | None, target: pa.DataType) -> Any:
    if value is None or not value.is_valid:
        return None
    if value.type == target:
        return value
    if pa.types.is_string(target):
        return _json_text(value.as_py())
    if pa.types.is_list(target):
        return [_convert(item, target.value_type) for item in value]
    is_rounding = pa.types.is_floating(target) and pa.types.is_integer(value.type)
    return value.cast(target, safe=not is_rounding)


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_as_text)


def _as_text(value: Any) -> str:
    """Values that JSON does not know, such as dates, decimals and bytes."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def _fits_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _is_number(found: pa.DataType) -> bool:
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found))


def _unify_numbers(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if pa.types.is_signed_integer(left) and pa.types.is_signed_integer(right):
        return max(left, right, key=lambda one: one.bit_width)
    if pa.types.is_unsigned_integer(left) and pa.types.is_unsigned_integer(right):
        return max(left, right, key=lambda one: one.bit_width)
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return pa.int64() if max(left.bit_width, right.bit_width) < 64 else pa.string()
    return pa.float64()
