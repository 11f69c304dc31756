"""Blanks what quotes documents in the databases that the orchestrator and the tracker keep in the
workspace: error lines and logs may quote a line of a document."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Set
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

PIECE_CHARACTERS = 24  # shorter ones may be anybody's
PATIENCE_S = 30.0
_BLANK = "(erased)"
_KINDS = ("CHAR", "TEXT", "JSON", "CLOB", "BLOB")


def pieces_of(texts: Iterable[str]) -> frozenset[str]:
    """The beginnings of lines and sentences, also as JSON spells them."""
    lines = {line.strip() for text in texts for line in [*text.splitlines(), *text.split(". ")]}
    spelled = lines | {json.dumps(line)[1:-1] for line in lines}
    return frozenset(line[:PIECE_CHARACTERS] for line in spelled if len(line) >= PIECE_CHARACTERS)


def blank_database(path: Path, pieces: Set[str]) -> int:
    """Replace every value of a SQLite file that holds one of the pieces; returns how many.

    The file is packed then, so that nothing of what was there is left in it.

    Raises:
        sqlite3.Error: the file is in use for long, or no database.
    """
    num_blanked = 0
    if not pieces:
        return num_blanked
    with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        database.create_function("quotes", 1, partial(_quotes, pieces), deterministic=True)
        database.create_function("blanked", 1, partial(_blanked, pieces), deterministic=True)
        for table, column, kind in _text_columns(database):
            blank = f'blanked("{column}")' if kind == "JSON" else f"'{_BLANK}'"
            found = database.execute(
                f'UPDATE "{table}" SET "{column}" = {blank} WHERE quotes("{column}")'
            )
            num_blanked += found.rowcount
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("VACUUM")  # rows that were deleted before may quote, too
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return num_blanked


def _quotes(pieces: Set[str], value: object) -> bool:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return False
    ends = range(PIECE_CHARACTERS, len(value) + 1)
    return any(value[end - PIECE_CHARACTERS : end] in pieces for end in ends)


def _blanked(pieces: Set[str], value: object) -> str:
    """JSON in which the strings that quote are replaced, or all of it where that is not enough."""
    try:
        parsed = json.loads(value) if isinstance(value, str | bytes) else None
        text = json.dumps(_without_quotes(pieces, parsed))
    except (ValueError, RecursionError):
        return json.dumps(_BLANK)
    return json.dumps(_BLANK) if _quotes(pieces, text) else text


def _without_quotes(pieces: Set[str], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_quotes(pieces, each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_quotes(pieces, each) for each in value]
    if isinstance(value, str) and (_quotes(pieces, value) or _quotes(pieces, json.dumps(value))):
        return _BLANK
    return value


def _text_columns(database: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            if any(word in kind.upper() for word in _KINDS):
                yield table, column, kind.upper()
