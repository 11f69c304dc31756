"""What quotes a document in a SQLite database is blanked, and the file holds nothing of it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tasks.erasure.databases import blank_database, pieces_of

TEXT = 'Short.\nThe „owner" of the yellow house owes 48213 crowns. Nobody else knows of the house.'


def test_quotes_are_blanked_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE log (id INTEGER, message VARCHAR, data JSON)")
        rows = [
            (1, f"bad line: {TEXT.splitlines()[1]}", "{}"),
            (2, "all is well", '{"text": "The \\u201eowner\\" of the yellow house owes"}'),
            (3, "Nobody else knows of the house.", "{}"),
            (4, "Short.", "{}"),
        ]
        database.executemany("INSERT INTO log VALUES (?, ?, ?)", rows)
        database.commit()
    assert blank_database(path, pieces_of([TEXT])) == 3
    assert blank_database(path, pieces_of([TEXT])) == 0
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT * FROM log").fetchall()
    assert found == [
        (1, "(erased)", "{}"),
        (2, "all is well", '{"text": "(erased)"}'),
        (3, "(erased)", "{}"),
        (4, "Short.", "{}"),
    ]
    raw = path.read_bytes()
    assert b"yellow house" not in raw
    assert b"Nobody else" not in raw


def test_of_json_only_the_strings_that_quote_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    line, owner = "Nobody else knows of the house.", TEXT.splitlines()[1]
    values = (
        {"id": 7, "log": [f"at: {line}", "fine"], "more": {"none": None, "text": owner}},
        {line: 1},  # a name that quotes cannot stay
    )
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE log (data JSON)")
        spelled = [(json.dumps(value, ensure_ascii=False),) for value in values]
        database.executemany("INSERT INTO log VALUES (?)", spelled)
        database.commit()
    assert blank_database(path, pieces_of([TEXT])) == 2
    with closing(sqlite3.connect(path)) as database:
        found = [json.loads(data) for (data,) in database.execute("SELECT data FROM log")]
    assert found == [
        {"id": 7, "log": ["(erased)", "fine"], "more": {"none": None, "text": "(erased)"}},
        "(erased)",
    ]


def test_rows_that_were_deleted_before_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE log (message TEXT)")
        database.execute("INSERT INTO log VALUES (?)", (TEXT,))
        database.commit()
        database.execute("DELETE FROM log")
        database.commit()
    assert b"yellow house" in path.read_bytes()
    assert blank_database(path, pieces_of([TEXT])) == 0
    assert b"yellow house" not in path.read_bytes()
