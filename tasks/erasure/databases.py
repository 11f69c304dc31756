"""Blanks what quotes documents in the databases that the orchestrator and the tracker keep in the
workspace: error lines and logs may quote a line of a document."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Set
from contextlib import closing
from functools import partial
from pathlib import Path

PIECE_CHARACTERS = 24  # shorter ones may be anybody's
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
    with closing(sqlite3.connect(path, timeout=30.0, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        database.create_function("quotes", 1, partial(_quotes, pieces), deterministic=True)
        for table, column, kind in _text_columns(database):
            blank = json.dumps(_BLANK) if kind == "JSON" else _BLANK
            found = database.execute(
                f'UPDATE "{table}" SET "{column}" = ? WHERE quotes("{column}")', (blank,)
            )
            num_blanked += found.rowcount
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if num_blanked:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return num_blanked


def _quotes(pieces: Set[str], value: object) -> bool:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return False
    ends = range(PIECE_CHARACTERS, len(value) + 1)
    return any(value[end - PIECE_CHARACTERS : end] in pieces for end in ends)


def _text_columns(database: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")').fetchall():
            if any(word in kind.upper() for word in _KINDS):
                yield table, column, kind.upper()
