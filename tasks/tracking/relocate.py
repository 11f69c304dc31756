"""Mends the embedded store after its workspace was moved: the paths in it are absolute."""

import sqlite3
from pathlib import Path

_PATH_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def relocate(database: Path, artifact_folder: Path) -> bool:
    """Point every path below another ``mlartifacts`` at this one; True if there was one.

    Only experiments made by us are concerned: theirs are the locations that end so. Does nothing
    where there is no database, or one without tables yet.
    """
    if not database.is_file():
        return False
    connection = sqlite3.connect(database, timeout=30.0)
    try:
        return _mend(connection, artifact_folder.as_uri())
    finally:
        connection.close()


def _mend(connection: sqlite3.Connection, home: str) -> bool:
    tables = {name for (name,) in connection.execute("select name from sqlite_master")}
    if "experiments" not in tables:
        return False
    query = "select distinct artifact_location from experiments where artifact_location like ?"
    locations = [place for (place,) in connection.execute(query, ("%/mlartifacts",))]
    old_homes = [place for place in locations if place != home]
    with connection:
        for old in old_homes:
            for table in _PATH_COLUMNS.keys() & tables:
                _replace_prefix(connection, table, old, home)
    return bool(old_homes)


def _replace_prefix(connection: sqlite3.Connection, table: str, old: str, new: str) -> None:
    column = _PATH_COLUMNS[table]
    connection.execute(
        f"update {table} set {column} = ? || substr({column}, ?) "
        f"where {column} = ? or substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
