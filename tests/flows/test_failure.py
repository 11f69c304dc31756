"""The kind of error and its line, as Prefect's states tell them."""

import asyncio

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.states import exception_to_crashed_state, exception_to_failed_state

from flows.failure import Failure, failure_of
from model.errors import CorpusError


def failed(error: Exception) -> State:
    """As the engine makes it of a flow's exception."""
    prefix = "Flow run encountered an exception:"
    state: State = asyncio.run(exception_to_failed_state(error, message=prefix))
    return state


@pytest.mark.parametrize("text", ["a.txt: no text: add some", "two\nlines", ""])
def test_an_exception_has_a_kind_and_a_line(text: str) -> None:
    first = text.split("\n", 1)[0]
    assert failure_of(failed(CorpusError(text))) == Failure("CorpusError", first)


def test_what_an_unexpected_exception_interrupted_has_its_kind() -> None:
    state = asyncio.run(exception_to_crashed_state(MemoryError("no room")))
    assert failure_of(state) == Failure("MemoryError", "no room")


def test_a_killed_process_left_no_exception() -> None:
    message = "Flow run process exited with non-zero status code -9."
    killed: State = State(type=StateType.CRASHED, message=message)
    assert failure_of(killed) == Failure(None, message)


def test_a_state_without_a_word_is_told_by_its_name() -> None:
    assert failure_of(State(type=StateType.CRASHED)) == Failure(None, "ended as Crashed")
