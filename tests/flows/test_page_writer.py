"""Pages are written beside the work, which never waits for an API that hangs."""

import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from flows.page_writer import FAILED_S, PageWriter

LONG_S = 20.0

whose: ContextVar[str] = ContextVar("whose", default="nobody's")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def writer(told: list[str]) -> Iterator[PageWriter]:
    made = PageWriter(told.append)
    yield made
    made.stop()


def test_all_are_written_in_order_and_in_the_context_of_the_giver(
    writer: PageWriter, told: list[str]
) -> None:
    written: list[tuple[int, str]] = []
    token = whose.set("the stage's")
    for number in range(20):
        writer.write(f"page {number}", lambda number=number: written.append((number, whose.get())))
    whose.reset(token)
    writer.finish(LONG_S)
    assert written == [(number, "the stage's") for number in range(20)]
    assert told == []


def test_an_api_that_hangs_holds_up_nothing(writer: PageWriter, told: list[str]) -> None:
    is_back, is_begun = threading.Event(), threading.Event()
    shown: list[int] = []

    def hang() -> None:
        is_begun.set()
        assert is_back.wait(LONG_S)
        raise OSError("too late")

    started = time.monotonic()
    writer.write("first", hang)
    assert is_begun.wait(LONG_S)
    for percent in range(1000):
        writer.write("progress", lambda percent=percent: shown.append(percent))
    writer.finish(0.1)
    assert time.monotonic() - started < 5.0
    assert told == [f"{what}: the API does not answer" for what in ("first", "progress")]
    is_back.set()
    writer._thread.join(LONG_S)
    assert shown == []
    assert len(told) == 2  # the stage is over, and so is the thread


def test_only_the_newest_of_its_kind_is_written(writer: PageWriter) -> None:
    is_back, shown = threading.Event(), []
    writer.write("first", lambda: is_back.wait(LONG_S))
    for percent in range(50):
        writer.write("progress", lambda percent=percent: shown.append(percent))
    is_back.set()
    writer.finish(LONG_S)
    assert shown[-1] == 49
    assert len(shown) <= 2


def test_a_page_that_fails_is_a_warning_and_the_next_is_written(
    writer: PageWriter, told: list[str]
) -> None:
    shown: list[str] = []

    def fail() -> None:
        raise OSError("no")

    writer.write("links", fail)
    writer.write("summary", lambda: shown.append("summary"))
    writer.finish(LONG_S)
    assert (told, shown) == (["links: OSError: no"], ["summary"])


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_no_room_for_a_thread_ends_no_stage(
    error: Exception, writer: PageWriter, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise error

    shown: list[str] = []
    with monkeypatch.context() as full:
        full.setattr(writer._thread, "start", refuse)
        writer.write("progress", lambda: shown.append("progress"))
    assert told == [f"progress: {type(error).__name__}: {error}"]
    writer.write("summary", lambda: shown.append("summary"))
    writer.finish(LONG_S)
    assert shown == ["summary"]


def test_what_a_failed_stage_gave_last_is_written(writer: PageWriter) -> None:
    shown: list[str] = []
    writer.write("first", lambda: time.sleep(FAILED_S / 10))
    writer.write("table", lambda: shown.append("table"))
    writer.end(ValueError)
    assert shown == ["table"]


def test_who_stops_a_stage_waits_for_no_page(writer: PageWriter, told: list[str]) -> None:
    is_back = threading.Event()
    writer.write("first", lambda: is_back.wait(LONG_S))
    started = time.monotonic()
    writer.end(KeyboardInterrupt)
    assert time.monotonic() - started < FAILED_S / 2
    is_back.set()
    assert told == []
