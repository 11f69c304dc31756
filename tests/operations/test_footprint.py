"""What a process takes is measured at ones whose needs are known."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

from tests.operations.footprint import Process

SIZE = 64 * 2**20
ABOUT = SIZE // 8


def test_own_memory_is_told_from_mapped_files(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(bytes(SIZE))
    before = Process.of(os.getpid())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[:: mmap.PAGESIZE]) == 0
        mapped = Process.of(os.getpid())
    assert abs(mapped.mapped_bytes - before.mapped_bytes - SIZE) < ABOUT
    assert abs(mapped.own_bytes - before.own_bytes) < ABOUT
    kept = bytearray(os.urandom(SIZE))
    own = Process.of(os.getpid())
    assert abs(own.own_bytes - mapped.own_bytes - SIZE) < ABOUT
    assert len(kept) == SIZE


def test_of_what_it_started_each_counts_once() -> None:
    program = f"kept = b'x' * {SIZE}; print(flush=True); input()"
    before = Process.of(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        during = Process.of(os.getpid())
        child.communicate(b"\n")
    assert SIZE < during.servers_bytes - before.servers_bytes < SIZE + ABOUT * 4
    assert during.own_bytes - before.own_bytes < ABOUT
