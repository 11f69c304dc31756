"""The queue file: in order, whole, one owner, and never in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.tracking.records import Measured, Record, Sent, Tagged
from tasks.tracking.spool import READ_BYTES, Spool, leftovers


def tagged(number: int, value: str = "v") -> Tagged:
    return Tagged(run=0, key=str(number), value=value)


def read_all(spool: Spool) -> list[Record]:
    records, offset = spool.read(0)
    while True:
        more, after = spool.read(offset)
        if after == offset:
            return records
        records, offset = records + more, after


def test_records_come_in_order_over_many_batches(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "a")
    written = [tagged(number, "x" * 500) for number in range(3 * READ_BYTES // 500)]
    for record in written:
        spool.append(record)
    assert read_all(spool) == written
    assert spool.num_waiting(0) == len(written)


def test_a_record_larger_than_a_batch_passes(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "a")
    large = tagged(1, "y" * (2 * READ_BYTES + 7))
    for record in (tagged(0), large, tagged(2)):
        spool.append(record)
    assert read_all(spool) == [tagged(0), large, tagged(2)]


def test_the_senders_notes_are_not_sent(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "a")
    end = spool.append(tagged(1))
    spool.append(Sent(offset=end))
    assert read_all(spool) == [tagged(1)]
    assert spool.num_waiting(end) == 0
    assert Sent(offset=end) in list(spool.everything())


def test_a_living_owner_keeps_its_queue(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "a")
    assert Spool.take_over(spool.path) is None
    spool.release()
    taken = Spool.take_over(spool.path)
    assert taken is not None
    assert Spool.take_over(spool.path) is None
    taken.discard()
    assert leftovers(tmp_path) == []
    assert Spool.take_over(spool.path) is None


def test_half_a_line_of_a_killed_process_is_dropped(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tasks.tracking.spool import Spool\n"
        "from tasks.tracking.records import Tagged\n"
        "spool = Spool.create(Path(sys.argv[1]), 'a')\n"
        "spool.append(Tagged(run=0,key='0',value='v'))\n"
        'os.write(spool._descriptor, b\'{"kind":"Tagg\'); os.kill(os.getpid(), 9)'
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    spool = Spool.take_over(tmp_path / "a.jsonl")
    assert spool is not None
    spool.append(tagged(1))
    assert read_all(spool) == [tagged(0), tagged(1)]


def test_a_full_disk_costs_records_but_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.create(tmp_path, "a")
    spool.append(tagged(0))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    spool.append(Measured(run=0, values={"a": 1.0}, step=0, time_ms=0))
    monkeypatch.undo()
    spool.append(tagged(1))
    assert spool.num_lost == 1
    assert read_all(spool) == [tagged(0), tagged(1)]
