import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tasks.runtime.stopping import PATIENCE_S, Termination, deferred_termination


class Terminated(BaseException):
    """What the handler before raises."""


@pytest.fixture(autouse=True)
def raising_handler() -> Iterator[None]:
    def handle(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    answers: list[bool] = []

    def work() -> None:
        with deferred_termination() as termination:
            answers.append(termination.has_come())
            os.kill(os.getpid(), signal.SIGTERM)
            answers.append(termination.has_come())

    with pytest.raises(Terminated):
        work()
    assert answers == [False, True]


def test_it_comes_through_also_where_the_block_fails() -> None:
    def work() -> None:
        with deferred_termination():
            os.kill(os.getpid(), signal.SIGTERM)
            raise ValueError("stopped half-way")

    with pytest.raises(Terminated):
        work()


def test_without_a_signal_the_handler_before_is_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with deferred_termination():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_are_not_asked() -> None:
    answers: list[bool] = []

    def work() -> None:
        with deferred_termination() as termination:
            answers.append(termination.has_come())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert answers == [False]


def test_after_a_while_there_is_no_more_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    termination = Termination()
    assert not termination.cannot_wait()
    termination.note(signal.SIGTERM, None)
    now += PATIENCE_S
    assert termination.has_come()
    assert not termination.cannot_wait()
    termination.note(signal.SIGTERM, None)  # another one starts no other clock
    now += 0.1
    assert termination.cannot_wait()
