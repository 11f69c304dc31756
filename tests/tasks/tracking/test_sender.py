"""The sending thread against a tracker that fails in every way we can think of."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tasks.tracking import sender
from tasks.tracking.delivery import Delivery
from tasks.tracking.latency import Latency
from tasks.tracking.location import embedded
from tasks.tracking.records import Record, Tagged
from tasks.tracking.replay import Replay
from tasks.tracking.sender import Sender
from tasks.tracking.sink import Refused
from tasks.tracking.spool import Spool


class FakeSink:
    """Keeps what it is given, by key as MLflow does, and fails when told to."""

    def __init__(self) -> None:
        self.versions: dict[int, str] = {}
        self.received: list[str] = []
        self.is_away = False
        self.loses_answer = False
        self.refuses: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.latency = Latency(slow_s=0.1)

    def write(self, records: Sequence[Record], run_ids: dict[int, str], owner: str) -> None:
        with self.latency.asking():
            assert self.gate.wait(20)
        for record in records:
            assert isinstance(record, Tagged)
            if self.is_away:
                raise ConnectionError("nobody home")
            if record.key in self.refuses:
                raise Refused(f"{record.key} is not welcome")
            if record.key not in self.received:
                self.received.append(record.key)
        if self.loses_answer:
            self.loses_answer = False
            raise TimeoutError("written, but who knows")


class Bench:
    """A sender at work on a spool of its own."""

    def __init__(self, folder: Path) -> None:
        self.sink = FakeSink()
        self.lines: list[str] = []
        self.spool = Spool.create(folder / "spool", "run")
        self.delivery = Delivery(self.spool, lambda: self.sink, "run")
        self.sender = Sender(
            self.delivery,
            Replay(folder / "none", embedded(folder)),
            self.lines.append,
            self.sink.latency,
        )

    def append(self, numbers: range) -> list[str]:
        for number in numbers:
            self.spool.append(Tagged(run=0, key=str(number), value=""))
        return [str(number) for number in numbers]

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(sender, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(sender, "LAST_PAUSE_S", 0.05)
    made = Bench(tmp_path)
    yield made
    made.sink.gate.set()
    if made.sender.is_alive():
        made.sender.finish(grace_s=0.0, limit_s=5.0)


def test_all_arrives_in_order(bench: Bench) -> None:
    bench.sender.start()
    sent = bench.append(range(5000))
    assert bench.sender.finish(grace_s=1, limit_s=20)
    assert bench.sink.received == sent


def test_nothing_is_lost_or_doubled_when_the_tracker_goes_away(bench: Bench) -> None:
    bench.sender.start()
    sent = bench.append(range(100))
    bench.wait_until(lambda: len(bench.sink.received) == 100)
    bench.sink.is_away = True
    sent += bench.append(range(100, 300))
    bench.wait_until(lambda: bench.sender.problem)
    assert len(bench.sink.received) == 100
    bench.sink.is_away = False
    bench.sink.loses_answer = True
    sent += bench.append(range(300, 400))
    assert bench.sender.finish(grace_s=5, limit_s=20)
    assert bench.sink.received == sent


def test_work_does_not_wait_for_a_tracker_that_hangs(bench: Bench) -> None:
    bench.sink.gate.clear()
    bench.sender.start()
    started = time.monotonic()
    bench.append(range(2000))
    assert time.monotonic() - started < 1.0
    assert bench.sink.received == []
    started = time.monotonic()
    assert not bench.sender.finish(grace_s=0.1, limit_s=0.3)
    assert time.monotonic() - started < 2.0


def test_nobody_waits_for_a_tracker_that_takes_its_time(bench: Bench) -> None:
    bench.sink.gate.clear()
    sent = bench.append(range(10))
    bench.sender.start()
    started = time.monotonic()
    assert not bench.sender.wait_for(lambda: not bench.delivery.num_waiting, limit_s=20)
    assert not bench.sender.finish(limit_s=20)
    assert time.monotonic() - started < 5.0
    assert "takes its time" in bench.sender.why
    bench.sender.let_go()
    assert Spool.take_over(bench.spool.path) is None  # nobody sends the same at the same time
    bench.sink.gate.set()
    bench.sender.join(10)
    assert bench.sink.received == sent
    assert Spool.take_over(bench.spool.path)


def test_one_lost_connection_is_no_reason_to_give_up_waiting(bench: Bench) -> None:
    bench.sink.loses_answer = True
    sent = bench.append(range(10))
    bench.sender.start()
    bench.wait_until(lambda: not bench.sink.loses_answer)
    assert bench.sender.wait_for(lambda: not bench.delivery.num_waiting, limit_s=20)
    assert bench.sink.received == sent


def test_an_absent_tracker_holds_the_end_up_no_longer_than_the_grace(bench: Bench) -> None:
    bench.sink.is_away = True
    bench.append(range(10))
    bench.sender.start()
    started = time.monotonic()
    assert not bench.sender.finish(grace_s=0.3, limit_s=20)
    assert time.monotonic() - started < 3.0
    assert bench.delivery.num_waiting == 10


def test_what_is_refused_does_not_block_the_rest(bench: Bench) -> None:
    bench.sink.refuses = {"3", "7"}
    sent = bench.append(range(10))
    bench.sender.start()
    assert bench.sender.finish(grace_s=1, limit_s=20)
    assert bench.sink.received == [key for key in sent if key not in bench.sink.refuses]
    assert bench.delivery.num_refused == 2
    assert bench.delivery.refusal == "3 is not welcome"


def test_an_outage_is_told_once_and_without_passwords(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "OUTAGE_S", 0.1)

    def fail(*_: object) -> None:
        raise ConnectionError("cannot reach http://me:secret@host/api\nand a long story")

    monkeypatch.setattr(bench.sink, "write", fail)
    bench.append(range(3))
    bench.sender.start()
    bench.wait_until(lambda: bench.lines)
    bench.sender.finish(grace_s=0.3, limit_s=5)
    assert len(bench.lines) == 1
    assert "http://host/api" in bench.lines[0]
    assert "secret" not in bench.lines[0]
    assert "\n" not in bench.lines[0]
