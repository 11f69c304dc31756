"""What ended a Prefect run, read from the message that its state bears on every machine."""

import re
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.objects import State

# How Prefect begins the message of a run that an exception ended; then come its class and its text.
_EXCEPTION = re.compile(
    r"(?:Flow run encountered an exception|Execution was interrupted by an unexpected exception)"
    r": (\w+): (.*)"
)


@dataclass(frozen=True)
class Failure:
    """Why a run did not complete.

    Attributes:
        kind: the exception's class; None where no exception is known of, as of a killed process.
        line: the first line of what was said; it may quote a document.
    """

    kind: str | None
    line: str


def failure_of(state: State[Any]) -> Failure:
    """What a final state says, whether it comes from this process or from the API."""
    said = (state.message or f"ended as {state.name}").split("\n", 1)[0]
    found = _EXCEPTION.match(said)
    return Failure(found[1], found[2]) if found else Failure(None, said)
