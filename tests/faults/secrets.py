"""A secret that is told to every part of a run, and a search for it in all that the run leaves."""

import base64
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

# A slash and an @, which a password may hold and an address spells otherwise. Each half is found
# by itself, so that one that was cut in the wrong place is found, too.
_HALVES = ("kanarie9HeadQx", "kanarie9TailZw")
CANARY = "/@".join(_HALVES)
QUOTED = quote(CANARY, safe="")
NOWHERE = "127.0.0.1:1"
LOOK_S = 0.1


def spellings() -> list[bytes]:
    """How the secret may be written: as it is, in base64 wherever it begins, in hexadecimal."""
    found = []
    for half in _HALVES:
        raw = half.encode()
        found += [raw, raw.hex().encode(), raw.hex().upper().encode()]
        for before in range(3):  # base64 writes three bytes as four characters
            encoded = base64.b64encode(b"\0" * before + raw)
            found.append(encoded[-(-before * 4 // 3) : len(encoded) - 4])
    return found


_SPELLINGS = spellings()


def holds(content: bytes | str) -> bool:
    """Whether the secret is in the content."""
    raw = content if isinstance(content, bytes) else content.encode()
    return any(spelling in raw for spelling in _SPELLINGS)


def traces(root: Path) -> list[str]:
    """The files and folders below that hold the secret, or are called so; there must be some."""
    paths = sorted(root.rglob("*"))
    assert paths, f"nothing to look at in {root}"
    return [
        str(path.relative_to(root))
        for path in paths
        if holds(str(path.relative_to(root)))
        or (path.is_file() and any(map(holds, contents(path))))
    ]


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what those of a known format say: columns, rows, members, unpacked."""
    raw = path.read_bytes()
    yield raw
    if raw.startswith(b"PAR1"):
        yield as_plain_bytes(pq.read_table(path, partitioning=None))
    elif raw.startswith(b"ARROW1"):
        yield as_plain_bytes(pa.ipc.open_file(path).read_all())
    elif raw.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        with pa.input_stream(path, compression="gzip" if raw[0] == 0x1F else "zstd") as stream:
            yield stream.read()
    elif raw.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as database:  # bytes are dumped in hexadecimal
            yield "\n".join(database.iterdump()).encode()
    elif raw.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.encode() + b"\n" + archive.read(name)


def as_plain_bytes(table: pa.Table) -> bytes:
    """All values and metadata of a table, uncompressed."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def environment() -> dict[str, str]:
    """The secret wherever a user can set one that all programs take from the environment."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIAFORTESTSONLY",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_SESSION_TOKEN": CANARY,
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": CANARY,
        "PREFECT_API_AUTH_STRING": f"me:{CANARY}",
        "HF_TOKEN": CANARY,
        "PGPASSWORD": CANARY,
        "HTTPS_PROXY": f"http://me:{QUOTED}@{NOWHERE}",
        "PREFECT_UI_URL": f"https://me:{QUOTED}@prefect.example",
        "CORPUSMITH_MLFLOW_PAGES": f"https://me:{QUOTED}@mlflow.example",
    }


class Watch:
    """Looks at the command lines of this process's descendants, which every user can see.

    Attributes:
        seen: all that there were.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._is_over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.is_set():
            self.seen |= set(command_lines())
            time.sleep(LOOK_S)


def command_lines() -> Iterator[str]:
    """Those of this process's descendants."""
    for process in psutil.Process().children(recursive=True):
        try:
            yield " ".join(process.cmdline())
        except psutil.Error:
            continue
