"""Conditions on a dataset's columns, from the words a person writes: ``year >= 2020``.

Nothing of them is run as code: a column is one that exists, an operator one of seven, and a value
is read as the column's Arrow type says.
"""

import csv
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from model.errors import RequestError

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_FORM = "say 'COLUMN OP VALUE' with OP one of = != < <= > >= or in"
_REST = re.compile(r"\s*(?P<operator>!=|<=|>=|=|<|>|\bin\b)\s*(?P<value>.*?)\s*", re.DOTALL)
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "true or false"),
    (pa.types.is_date, "a date such as 2024-05-31"),
    (pa.types.is_timestamp, "a time such as 2024-05-31T12:00:00"),
    (pa.types.is_time, "a time of day such as 12:00:00"),
    (pa.types.is_integer, "a whole number"),
    (pa.types.is_floating, "a number"),
    (pa.types.is_decimal, "a number"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
)


@dataclass(frozen=True)
class RowFilter:
    """Which rows are wanted.

    Attributes:
        columns: those that the expression reads.
        expression: true for the rows wanted; a row without a value in a column is not, whatever
            the operator, as in SQL.
    """

    columns: tuple[str, ...]
    expression: pc.Expression


def row_filter(conditions: Sequence[str], schema: pa.Schema) -> RowFilter | None:
    """The rows for which all conditions hold; None without a condition.

    Args:
        conditions: ``COLUMN OP VALUE`` each; OP is one of ``= != < <= > >=``, or ``in`` with values
            between commas (in double quotes where they have commas themselves).
        schema: the columns that may be named.

    Raises:
        RequestError: it has not that form, the column does not exist or has no order, or the value
            is not of the column's type.
    """
    parsed = [_parse(condition, schema) for condition in conditions]
    if not parsed:
        return None
    expression = parsed[0][1]
    for _, other in parsed[1:]:
        expression = expression & other
    return RowFilter(tuple(dict.fromkeys(column for column, _ in parsed)), expression)


def _parse(condition: str, schema: pa.Schema) -> tuple[str, pc.Expression]:
    column, operator, value = _split(condition, schema)
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    wanted = next((text for is_kind, text in _KINDS if is_kind(kind)), None)
    if wanted is None:
        raise RequestError(f"--where {condition!r}: {column} is {kind}, which cannot be compared")
    if pa.types.is_boolean(kind) and operator not in ("=", "!=", "in"):
        raise RequestError(f"--where {condition!r}: {column} is true or false: use =, != or in")
    field = pc.field(column).cast(kind)
    if operator != "in":
        return column, _COMPARISONS[operator](field, _value(value, kind, wanted, condition))
    try:
        values = next(csv.reader([value], skipinitialspace=True), [])
    except csv.Error as error:
        raise RequestError(f"--where {condition!r}: {error}: give values between commas") from None
    if not values:
        raise RequestError(f"--where {condition!r}: name at least one value after in")
    scalars = [_value(each.strip(), kind, wanted, condition) for each in values]
    return column, field.isin(pa.array([each.as_py() for each in scalars], kind))


def _split(condition: str, schema: pa.Schema) -> tuple[str, str, str]:
    """Column, operator and value. Names may hold blanks and signs, so the longest one wins."""
    text = condition.lstrip()
    for column in sorted(schema.names, key=len, reverse=True):
        rest = text.removeprefix(column)
        if column and rest != text and (match := _REST.fullmatch(rest)):
            return column, match["operator"], match["value"]
    named = re.match(r"[^=<>!]+?(?=\s*(?:[=<>!]|\sin\s))", text)
    if named and named[0] not in schema.names:
        raise RequestError(
            f"--where {condition!r}: there is no column {named[0]!r}: {_near(named[0], schema)}"
        )
    raise RequestError(f"--where {condition!r}: {_FORM}")


def _near(name: str, schema: pa.Schema) -> str:
    near = difflib.get_close_matches(name, schema.names, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(schema.names)}"


def _value(text: str, kind: pa.DataType, wanted: str, condition: str) -> pa.Scalar:
    if pa.types.is_timestamp(kind) and kind.tz and not re.search(r"(Z|[+-]\d\d:?\d\d)$", text):
        text += "Z"  # a time without a zone is taken as UTC, as it is stored
    try:
        return pa.scalar(text).cast(kind)
    except (pa.ArrowException, ValueError, OverflowError):
        raise RequestError(
            f"--where {condition!r}: {text!r} is not {wanted}, which the column's type {kind} asks "
            "for"
        ) from None
