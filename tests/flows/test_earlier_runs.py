"""What a run leaves in cycles is gone when the next one in its process begins."""

import gc
import itertools
import weakref
from collections.abc import Iterator

import pytest

from flows import earlier_runs
from flows.earlier_runs import free_what_earlier_runs_left


class Left:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def only_when_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if no run had been before, and without Python's own collections."""
    monkeypatch.setattr(earlier_runs, "_runs", itertools.count())
    gc.disable()
    yield
    gc.enable()


def test_the_next_run_frees_it() -> None:
    free_what_earlier_runs_left()
    left = weakref.ref(Left())
    assert left()
    free_what_earlier_runs_left()
    assert not left()


def test_the_first_run_does_not_look() -> None:
    left = weakref.ref(Left())
    free_what_earlier_runs_left()
    assert left()
