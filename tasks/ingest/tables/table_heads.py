"""Tells tables of text (JSON, CSV) by how they begin."""

import csv
import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from tasks.ingest.fields import first_of

DELIMITERS = ",\t;|"
_MAX_LINES = 16
_MIN_ROWS = 4  # that must agree where nothing else speaks for a table

_JSON_STRING = r'"(?:[^"\\]|\\.)*+"'
_JSON_OBJECT = re.compile(rf"\{{\s*+{_JSON_STRING}\s*+:", re.DOTALL)
_JSON_OBJECTS = re.compile(rf"\[\s*+\{{\s*+(?:\}}|{_JSON_STRING}\s*+:)", re.DOTALL)
_JSON_STRINGS = re.compile(rf"\[\s*+{_JSON_STRING}\s*+,\s*+\"", re.DOTALL)
_COLUMN_NAME = re.compile(r"[^\W\d](?:[\w .:/()%#-]{0,38}[\w)%])?")


def looks_like_json_lines(text: str, is_all: bool) -> bool:
    """Whether most lines are JSON objects; of one endless line, the beginning must do.

    Args:
        text: the beginning of a file.
        is_all: whether it is the whole file.
    """
    lines = _whole_lines(text, is_all)
    if not lines:
        return _JSON_OBJECT.match(text.lstrip()) is not None
    num_objects = sum(_is_object(line) for line in lines)
    return 2 * num_objects > len(lines)


def begins_with_object(text: str, is_all: bool) -> bool:
    """Whether the first line that is not blank is a JSON object."""
    lines = _whole_lines(text, is_all)
    return bool(lines) and _is_object(lines[0])


def is_one_line(text: str, is_all: bool) -> bool:
    """Whether there is no second line, as far as can be seen."""
    return len(_whole_lines(text, is_all)) < (2 if is_all else 1)


def looks_like_json(text: str, is_all: bool) -> bool:
    """Whether this is an array of objects or strings, or objects that take several lines each."""
    text = text.lstrip()
    if _JSON_OBJECTS.match(text):
        return True
    if _is_object(text.split("\n", 1)[0]):  # lines, if anything
        return False
    if not is_all:
        return bool(_JSON_OBJECT.match(text) or _JSON_STRINGS.match(text))
    return text[:1] in ("{", "[") and _is_json(text)


def looks_like_csv(text: str, is_all: bool, text_columns: Sequence[str]) -> bool:
    """Whether there is a header of several fields, a text column among them, that fits most of the
    first rows; the only row may be cut off.
    """
    header = text.split("\n", 1)[0].rstrip("\r")
    delimiter = pick_delimiter(header, text_columns)
    fields = split_fields(header, delimiter)
    if len(fields) < 2 or "\n" not in text or first_of(text_columns, fields, None) is None:
        return False
    rows = _first_rows(text, is_all, delimiter)[1:]
    num_fitting = sum(len(row) == len(fields) for row in rows)
    return 2 * num_fitting > len(rows) if rows else not is_all


def looks_like_table(text: str, is_all: bool) -> bool:
    """Whether the first rows have equally many fields, and the first one only short names.

    Much stricter than `looks_like_csv`, so that a list or a poem with commas stays a text.
    """
    header = text.split("\n", 1)[0].rstrip("\r")
    delimiter = pick_delimiter(header, ())
    names = split_fields(header, delimiter)
    if len(names) < 2 or len(set(names)) < len(names):
        return False
    if not all(map(_COLUMN_NAME.fullmatch, names)):
        return False
    rows = _first_rows(text, is_all, delimiter)
    return len(rows) >= _MIN_ROWS and {len(row) for row in rows} == {len(names)}


def pick_delimiter(header: str, text_columns: Sequence[str]) -> str:
    """The delimiter that makes a text column a field of the header, else the most frequent one."""

    def merit(mark: str) -> tuple[bool, int]:
        text_column = first_of(text_columns, split_fields(header, mark), None)
        return text_column is not None, header.count(mark)

    return max(DELIMITERS, key=merit)


def split_fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line of CSV; none where it is not CSV."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _first_rows(text: str, is_all: bool, delimiter: str) -> list[list[str]]:
    """The first rows that are not blank, without one that is cut off; none where it is not CSV."""
    lines = text.split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter)
    try:
        rows = list(filter(None, islice(reader, _MAX_LINES)))
    except csv.Error:
        return []
    is_cut_off = not is_all and reader.line_num == len(lines)
    return rows[:-1] if is_cut_off else rows


def _whole_lines(text: str, is_all: bool) -> list[str]:
    """The first complete lines that are not blank."""
    lines = text.split("\n")
    complete = lines if is_all else lines[:-1]
    return list(islice(filter(str.strip, complete), _MAX_LINES))


def _is_object(line: str) -> bool:
    text = line.strip()
    value, end = _first_value(text) if text.startswith("{") else (None, 0)
    return isinstance(value, dict) and end == len(text)


def _is_json(text: str) -> bool:
    value, end = _first_value(text)
    rest = text[end:].lstrip()
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict | str) and not rest
    return isinstance(value, dict) and rest[:1] in ("", "{")


def _first_value(text: str) -> tuple[Any, int]:
    """The JSON value at the beginning, and where it ends; None where there is none."""
    try:
        return json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None, 0
