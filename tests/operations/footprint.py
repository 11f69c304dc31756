"""What a process and a workspace take at a moment: memory, open files, threads, disk, databases."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDS = ("runs", "published", "erased")  # history: a few small files more with each run
_STATE = "state"


@dataclass(frozen=True)
class Process:
    """A process at rest.

    Attributes:
        own_bytes: memory that no file holds too, resident or swapped out: what a leak adds to.
        mapped_bytes: resident pages of files, the code of libraries above all. The system drops
            and brings them as it likes, so that they depend on what else is at work.
        servers_bytes: memory of their own of all that it started and that still runs.
    """

    own_bytes: int
    mapped_bytes: int
    servers_bytes: int
    num_fds: int
    num_threads: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """That of Linux's process table."""
        below = sum(_memory(each)[0] for each in _descendants(pid))
        folder = Path(f"/proc/{pid}")
        num_fds, num_threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
        own_bytes, mapped_bytes = _memory(pid)
        return cls(own_bytes, mapped_bytes, below, num_fds, num_threads)


@dataclass(frozen=True)
class Disk:
    """A workspace on disk.

    Attributes:
        kept_bytes: of all but history and the local state: artifacts, staging, leases and so on.
        num_kept_files: files of these.
        records_bytes: records of runs, releases and switches.
        tracker_bytes: MLflow's database, its artifacts, and what waits to be sent.
        num_runs: runs in MLflow's database.
        prefect_bytes: Prefect's database, results and log.
    """

    kept_bytes: int
    num_kept_files: int
    records_bytes: int
    tracker_bytes: int
    num_runs: int
    prefect_bytes: int

    @classmethod
    def of(cls, workspace: Path) -> "Disk":
        """That of a workspace nobody works in."""
        sizes: dict[str, int] = {}
        num_kept_files = 0
        for path, size in _files(workspace):
            parts = path.relative_to(workspace).parts
            kind = _kind(parts)
            sizes[kind] = sizes.get(kind, 0) + size
            num_kept_files += kind == "kept"
        return cls(
            kept_bytes=sizes.get("kept", 0),
            num_kept_files=num_kept_files,
            records_bytes=sizes.get("records", 0),
            tracker_bytes=sizes.get("tracker", 0),
            num_runs=_num_runs(workspace / _STATE / "mlflow.db"),
            prefect_bytes=sizes.get("prefect", 0),
        )


def _kind(parts: tuple[str, ...]) -> str:
    if parts[0] in RECORDS:
        return "records"
    if parts[0] != _STATE:
        return "kept"
    return "prefect" if parts[1] == "prefect" else "tracker"


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a server may still be at work
            if path.is_file() and not path.is_symlink():
                yield path, path.stat().st_size


def _num_runs(database: Path) -> int:
    uri = f"file:{database}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as mlflow:
        [row] = mlflow.execute("select count(*) from runs")
    return int(row[0])


def _memory(pid: int) -> tuple[int, int]:
    """Bytes of a process's own and of files; none where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    own, mapped = (
        sum(1024 * int(kilobytes.get(name, 0)) for name in names)  # a zombie has none of them
        for names in (("RssAnon", "RssShmem", "VmSwap"), ("RssFile",))
    )
    return own, mapped


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text("ascii").split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)
