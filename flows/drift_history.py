"""What the records of earlier runs say about drift: what was acknowledged, and what was begun."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.store.artifact import ArtifactRef
from tasks.store.run_records import COMPLETED, REFRESH, RUNNING, WHOLE_CHAIN, state_of

Record = Mapping[str, Any]
Measures = Mapping[str, Mapping[str, Any]]


def is_whole_chain(record: Record) -> bool:
    """Whether the run is one of the whole chain, whatever became of it; runs up to one stage are
    none. Older records do not say up to what they ran, and tell only by what they published."""
    if record.get("flow", WHOLE_CHAIN) != WHOLE_CHAIN:
        return False
    if "until" in record:
        return record["until"] is None
    return state_of(record) == RUNNING or bool(record.get("release") or record.get("refused"))


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


def compared_corpus(records: Sequence[Record]) -> ArtifactRef | None:
    """What the newest refresh compared that published, since the last whole chain with a release.

    One that was killed before does not count: the next takes its place, and must measure the same.
    """
    for record in reversed(records):
        is_done = is_whole_chain(record) and state_of(record) == COMPLETED
        if is_done and not record.get("refused"):
            return None
        if record.get("published") and measures_of(record):
            made = record["artifacts"]["ingest"]
            named = {name: made[name] for name in ("input_id", "content_id", "path")}
            return ArtifactRef(stage="ingest", **named)
    return None


def measures_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """What a refresh measured, by measure; nothing of other runs."""
    drift = record.get("drift")
    if record.get("flow") != REFRESH or not isinstance(drift, Mapping):
        return {}
    return {row["measure"]: row for row in drift.get("measures", [])}


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
