"""Sorts rows of Arrow that can be trusted from those that cannot."""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from tasks.ingest.reading.records import FileRefusedError, Reason

_MAX_ROWS = 64
_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


class Part(NamedTuple):
    """Rows that can all be trusted, or a single one that holds strings that are not UTF-8."""

    rows: pa.RecordBatch
    is_valid: bool


def checked_parts(batch: pa.RecordBatch, reason: Reason) -> Iterator[Part]:
    """A batch in parts of at most 64 rows.

    Raises:
        FileRefusedError: something else is wrong than strings that are not UTF-8.
    """
    is_valid = _is_sound(batch)
    if not is_valid and not _is_sound_but_for_text(batch):
        raise FileRefusedError(reason)
    for start in range(0, batch.num_rows, _MAX_ROWS):
        rows = batch.slice(start, _MAX_ROWS)
        yield from [Part(rows, True)] if is_valid else _sorted_out(rows)


def _is_sound(batch: pa.RecordBatch) -> bool:
    """Whether everything in it is as its type demands. Safe whatever it holds."""
    try:
        batch.validate(full=True)
    except pa.ArrowException:
        return False
    return True


def _is_sound_but_for_text(batch: pa.RecordBatch) -> bool:
    """The same with strings seen as bytes, of which any will do."""
    try:
        batch.validate()
        for column in batch.columns:
            column.view(_bytes_type(column.type)).validate(full=True)
    except pa.ArrowException:
        return False
    return True


def _bytes_type(found: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(found):
        return pa.dictionary(found.index_type, _bytes_type(found.value_type), found.ordered)
    if pa.types.is_list(found):
        return pa.list_(_bytes_type(found.value_type))
    if pa.types.is_large_list(found):
        return pa.large_list(_bytes_type(found.value_type))
    if pa.types.is_map(found):
        return pa.map_(_bytes_type(found.key_type), _bytes_type(found.item_type))
    if pa.types.is_struct(found):
        return pa.struct([field.with_type(_bytes_type(field.type)) for field in found])
    return _BYTES.get(found, found)


def _sorted_out(rows: pa.RecordBatch) -> Iterator[Part]:
    """The rows together where all are UTF-8, else each by itself."""
    is_utf8 = [all(_is_utf8(column[row]) for column in rows.columns) for row in range(len(rows))]
    if all(is_utf8):
        yield Part(rows, True)
    else:
        yield from (Part(rows.slice(row, 1), is_utf8[row]) for row in range(len(rows)))


def _is_utf8(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    except (ValueError, OverflowError, LookupError):  # such as a date too far away
        return True
    return True
