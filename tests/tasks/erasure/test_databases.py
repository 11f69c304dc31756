"""What quotes a document in a SQLite database is blanked, and the file holds nothing of it."""

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
        (2, "all is well", '"(erased)"'),
        (3, "(erased)", "{}"),
        (4, "Short.", "{}"),
    ]
    raw = path.read_bytes()
    assert b"yellow house" not in raw
    assert b"Nobody else" not in raw
