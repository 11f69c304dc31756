"""What the records of earlier runs say about drift: what was acknowledged, and what was begun."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.store.run_records import (
    COMPLETED,
    REFRESH,
    Record,
    is_whole_chain,
    measures_of,
    state_of,
)

Measures = Mapping[str, Mapping[str, Any]]


def whole_chains(records: Sequence[Record], state: str) -> list[Record]:
    """Those of the runs that took the whole chain and are in that state, in their order."""
    return [each for each in records if is_whole_chain(each) and state_of(each) == state]


def acknowledged(records: Sequence[Record]) -> dict[str, Any] | None:
    """The drift that is known and was answered already.

    Where the newest whole chain ended without a release, because its embedder was no better, that
    is the drift that the newest refresh before it measured.

    Args:
        records: of all runs, oldest first.

    Returns:
        ``run_id`` of the whole chain, and ``measures`` by name; None where there is nothing.
    """
    for place in range(len(records) - 1, -1, -1):
        record = records[place]
        if not is_whole_chain(record) or state_of(record) != COMPLETED:
            continue
        if not record.get("refused"):
            return None
        measures = next(filter(None, map(measures_of, reversed(records[:place]))), None)
        return {"run_id": record.get("run_id"), "measures": measures} if measures else None
    return None


def raised(measures: Sequence[Mapping[str, Any]], known: Measures) -> list[str]:
    """The measures that an alarm is raised for: above their threshold, and past what is known.

    Past it is whatever grew by more than the threshold since, on the same side.
    """
    return [
        row["measure"]
        for row in measures
        if row["alarm"] and _grew(row, known.get(row["measure"], {}).get("value", 0.0))
    ]


def begun_and_not_ended(records: Sequence[Record]) -> Record | None:
    """The proposal of a refresh that was to start a whole chain, where none has ended since."""
    for record in reversed(records):
        if is_whole_chain(record) and state_of(record) == COMPLETED:
            return None
        proposal = record.get("proposal")
        if record.get("flow") == REFRESH and proposal and proposal.get("started"):
            return dict(proposal)
    return None


def newest_refresh(records: Sequence[Record]) -> Record | None:
    """The newest run of a refresh, whatever became of it."""
    return next((each for each in reversed(records) if each.get("flow") == REFRESH), None)


def _grew(row: Mapping[str, Any], known: float) -> bool:
    value, threshold = float(row["value"]), float(row["threshold"])
    same_side = value * known > 0
    return abs(value) > threshold + (abs(known) if same_side else 0.0)
