"""What a run notes in its record, when it begins and when it ends, and what can be read from it."""

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tasks.store.artifact import ArtifactRef
from tasks.store.owner import Owner, is_alive_here, is_known_dead, this_process

RUNNING, COMPLETED, FAILED, STOPPED, DIED = "running", "completed", "failed", "stopped", "died"
WHOLE_CHAIN = "pipeline"  # the flow whose runs stand for a workspace
REFRESH = "refresh"  # the nightly one, which trains nothing

Record = Mapping[str, Any]


def utc_now() -> str:
    """The moment, as records tell it: UTC, in seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def begun(run_id: str, flow: str) -> dict[str, Any]:
    """The record of a run of this process that begins now; `flow` says what runs."""
    return {
        "run_id": run_id,
        "flow": flow,
        "state": RUNNING,
        "started_at": utc_now(),
        "owner": this_process().model_dump(),
    }


def ended(record: Record, state: str) -> dict[str, Any]:
    """The record with how the run ended, and its seconds by the clock on the wall."""
    began = datetime.datetime.fromisoformat(record["started_at"]).timestamp()
    kept = {name: value for name, value in record.items() if name != "owner"}
    return kept | {"state": state, "seconds": round(max(time.time() - began, 0.0), 1)}


def state_of(record: Record) -> str:
    """How the run goes or went; "died" where its process is gone and said nothing.

    Records without a state are of versions that wrote them only when all was done.
    """
    state = str(record.get("state", COMPLETED))
    owner = _owner(record)
    return DIED if state == RUNNING and owner and is_known_dead(owner) else state


def is_going_on_here(record: Record) -> bool:
    """Whether a living process of this machine is at work on the run."""
    owner = _owner(record)
    return record.get("state") == RUNNING and owner is not None and is_alive_here(owner)


def is_whole_chain(record: Record) -> bool:
    """Whether the run is one of the whole chain, whatever became of it; runs up to one stage are
    none. Older records do not say up to what they ran, and tell only by what they published."""
    if record.get("flow", WHOLE_CHAIN) != WHOLE_CHAIN:
        return False
    if "until" in record:
        return record["until"] is None
    return state_of(record) == RUNNING or bool(record.get("release") or record.get("refused"))


def measures_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """What a refresh measured, by measure; nothing of other runs."""
    drift = record.get("drift")
    if record.get("flow") != REFRESH or not isinstance(drift, Mapping):
        return {}
    return {row["measure"]: row for row in drift.get("measures", [])}


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


def _owner(record: Record) -> Owner | None:
    try:
        return Owner.model_validate(record.get("owner"))
    except ValidationError:
        return None
