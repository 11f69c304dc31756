"""Turns columns of any Arrow type into types that the stages after can hold."""

import io
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.column_types import plain_type, to_array
from tasks.ingest.reading.records import FileRefusedError, Reason


@lru_cache(maxsize=4096)
def row_type(found: pa.DataType) -> pa.DataType:
    """The type that rows give a column with.

    Without encodings (dictionaries, runs, extensions, views, fixed and large sizes), also within
    lists, structs and maps. What Parquet cannot store, such as unions, becomes JSON text.

    Raises:
        FileRefusedError: pyarrow cannot hold such columns at all, as it is with some intervals.
    """
    target = _without_encodings(found)
    try:
        row_values(pa.nulls(0, found), target)
        pq.write_table(pa.schema([pa.field("column", target)]).empty_table(), io.BytesIO())
    except (pa.ArrowException, OSError):
        return pa.string()
    except KeyError:
        raise FileRefusedError(Reason.UNSUPPORTED) from None
    return target


def row_values(column: pa.Array, target: pa.DataType) -> pa.Array:
    """A column of valid values with its `row_type`.

    Raises:
        pa.ArrowException, ValueError, OverflowError, LookupError: values that JSON text is made of
            are no Python objects, such as a date too far away or in an unheard-of time zone.
    """
    if column.type == target:
        return column
    if _without_encodings(column.type) != target:
        return to_array(list(column), target)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column.cast(target)


def _without_encodings(found: pa.DataType) -> pa.DataType:
    plain = plain_type(found)
    if pa.types.is_map(plain):
        return pa.map_(_without_encodings(plain.key_type), _without_encodings(plain.item_type))
    if pa.types.is_struct(plain):
        return pa.struct([field.with_type(_without_encodings(field.type)) for field in plain])
    if _is_list(plain):
        return pa.list_(_without_encodings(plain.value_type))
    return plain


def _is_list(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(found)
        or pa.types.is_list_view(found)
        or pa.types.is_large_list_view(found)
    )
