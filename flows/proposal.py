"""Proposes to train anew where new documents have drifted, or says why it does not start."""

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from flows.config import INLINE, PipelineConfig, RefreshConfig
from flows.cost import num_devices
from flows.drift_history import whole_chains
from flows.plan import plan_run
from tasks.store.run_records import (
    COMPLETED,
    RUNNING,
    WHOLE_CHAIN,
    is_whole_chain,
    state_of,
)
from tasks.store.surroundings import describe_machine

TRAINING_STAGES = ("pretrain", "tune", "export")  # what takes a GPU
BUDGET_DAYS = 30.0
_DAY_S = 86_400.0

Record = Mapping[str, Any]
Devices = Mapping[str, int]  # on how many a stage computes at once, by its name

ONE_EACH: Devices = dict.fromkeys(TRAINING_STAGES, 1)


def propose(
    reasons: Sequence[str],
    config: PipelineConfig,
    location: str,
    records: Sequence[Record],
    *,
    goes_on: bool = False,
) -> dict[str, Any]:
    """The proposal of a whole chain: ``reasons``, whether it is ``started``, and if not, why not.

    Args:
        reasons: one line each.
        config: all settings.
        location: of the workspace.
        records: of its runs, oldest first.
        goes_on: whether it takes up a chain that was begun and has not ended.
    """
    refused = why_not(config.refresh, records, time.time(), goes_on=goes_on)
    if refused is None:
        refused = _over_budget(config, location, records)
    return {"reasons": list(reasons), "started": refused is None, "refused": refused}


def why_not(
    refresh: RefreshConfig, records: Sequence[Record], now_s: float, *, goes_on: bool = False
) -> str | None:
    """Why no whole chain may be started now, whatever it would cost; None where it may.

    Every whole chain that began is waited for, whatever became of it; but not where one that has
    not ended is gone on with.

    Ages go by when runs began, by the clock then. One that says it begins in the future counts as
    begun now: a clock that was wrong makes nothing happen more often.
    """
    if not refresh.may_train:
        return "refresh.may_train is off: `corpusmith run` trains"
    if not refresh.gpu_hours:
        return "refresh.gpu_hours is 0, so there is no budget: set it, or `corpusmith run`"
    recent_s = max(refresh.cooldown_days, 1.0) * _DAY_S
    for record in whole_chains(records, RUNNING):
        if _age_s(record, now_s) <= recent_s:
            return f"run {record.get('run_id')} is training already"
    for record in reversed(records):
        if not is_whole_chain(record) or (goes_on and state_of(record) != COMPLETED):
            continue
        days = _age_s(record, now_s) / _DAY_S
        if days < refresh.cooldown_days:
            return (
                f"run {record.get('run_id')} began {days:.1f} days ago, refresh.cooldown_days is "
                f"{refresh.cooldown_days:g}"
            )
    return None


def spent_hours(
    records: Sequence[Record], now_s: float, expected_hours: float, devices: Devices = ONE_EACH
) -> float:
    """Hours of training stages in runs of the last 30 days, those of each device added up.

    Records do not say on how many a stage ran: as many as now are taken. Of a whole chain that did
    not end well, what no finished stage took was the last one's, and it may have been one of these.
    One whose process was killed says nothing of its end: what stages had taken by then counts, and
    beside it `expected_hours`, which a chain would take now.
    """
    recent = (
        each
        for each in records
        if each.get("flow", WHOLE_CHAIN) == WHOLE_CHAIN
        and _age_s(each, now_s) <= BUDGET_DAYS * _DAY_S
    )
    return sum(_training_s(each, expected_hours * 3600, devices) for each in recent) / 3600


def _over_budget(config: PipelineConfig, location: str, records: Sequence[Record]) -> str | None:
    planned = plan_run(config, location, why=False)["stages"]
    devices = devices_of(config, describe_machine()["num_gpus"])
    expected = sum(
        each["seconds"] * devices[each["stage"]] for each in planned if each["stage"] in devices
    )
    expected /= 3600
    spent = spent_hours(records, time.time(), expected, devices)
    if spent + expected <= config.refresh.gpu_hours:
        return None
    return (
        f"it would take about {expected:.2g} GPU hours and {spent:.2g} were spent in "
        f"{BUDGET_DAYS:g} days, refresh.gpu_hours is {config.refresh.gpu_hours:g}"
    )


def devices_of(config: PipelineConfig, num_gpus: int) -> Devices:
    """On how many devices each training stage computes at once; one where that is not known.

    Args:
        config: all settings.
        num_gpus: of this machine. Where a work pool has the GPUs, it may have none, and the
            processes that `pretrain` is told to start count.
    """
    found = dict(ONE_EACH)
    if num_gpus == 0 and config.workers.gpu_stages != INLINE:
        told = config.pretrain.num_processes
        num_gpus = told if isinstance(told, int) else 1
    if config.pretrain.device != "cpu":
        found["pretrain"] = num_devices(config.pretrain, num_gpus)
    if config.export.device == "auto":
        found["export"] = max(1, num_gpus)
    return found


def _training_s(record: Record, expected_s: float, devices: Devices) -> float:
    """Seconds of devices."""
    made = record.get("artifacts", {})
    stages = made if isinstance(made, Mapping) else {}
    taken = {name: float(each.get("seconds", 0.0)) for name, each in stages.items()}
    trained = sum(taken[name] * devices[name] for name in TRAINING_STAGES if name in taken)
    if state_of(record) == COMPLETED or record.get("until"):
        return trained
    if "seconds" not in record:
        return trained + (expected_s if is_whole_chain(record) else 0.0)
    in_last_stage = max(float(record["seconds"]) - sum(taken.values()), 0.0)
    return trained + in_last_stage * max(devices.values())


def _age_s(record: Record, now_s: float) -> float:
    """Infinite where it is not known; 0 for what begins in the future."""
    try:
        began = datetime.datetime.fromisoformat(str(record.get("started_at")))
    except ValueError:
        return float("inf")
    return max(now_s - began.timestamp(), 0.0)
