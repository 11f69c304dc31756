"""What records of runs say about drift: when it is news, and when a run may train."""

import datetime
import time
from typing import Any

import pytest

from flows.config import PipelineConfig, RefreshConfig
from flows.drift_history import (
    acknowledged,
    begun_and_not_ended,
    newest_refresh,
    raised,
)
from flows.proposal import devices_of, spent_hours, why_not
from tasks.store.run_records import begun, compared_corpus, ended

NOW_S = time.time()
DAY_S = 86_400.0
ALLOWED = RefreshConfig(may_train=True, cooldown_days=7, gpu_hours=2)
REFUSED = {"against": 1, "reasons": ["no better"], "corpus": {}}


def row(value: float, measure: str = "masked_loss", threshold: float = 1.0) -> dict[str, Any]:
    above = abs(value) > threshold
    return {"measure": measure, "value": value, "threshold": threshold, "alarm": above}


def record(run_id: str, flow: str, *, days: float = 0.0, **more: Any) -> dict[str, Any]:
    """A completed run that began so many days ago."""
    began = datetime.datetime.fromtimestamp(NOW_S - days * DAY_S, datetime.UTC).isoformat()
    return ended(begun(run_id, flow) | {"started_at": began}, "completed") | more


def refresh(run_id: str, *values: float, **more: Any) -> dict[str, Any]:
    return record(run_id, "refresh", drift={"measures": [row(value) for value in values]}, **more)


def test_a_refusal_acknowledges_what_the_refresh_before_it_measured() -> None:
    records = [
        refresh("long ago", 9.0),
        refresh("before", 2.0),
        refresh("nothing new"),
        record("chain", "pipeline", refused=REFUSED),
        refresh("after", 3.5),
    ]
    known = acknowledged(records)
    assert known
    assert known["run_id"] == "chain"
    assert known["measures"]["masked_loss"]["value"] == 2.0


@pytest.mark.parametrize(
    "records",
    [
        [],
        [refresh("a", 2.0)],
        [refresh("a", 2.0), record("chain", "pipeline", release={"id": 2})],
        [
            refresh("a", 2.0),
            record("chain", "pipeline", refused=REFUSED),
            record("better", "pipeline", release={"id": 2}),
        ],
        [refresh("a", 2.0), record("failed", "pipeline", refused=REFUSED) | {"state": "failed"}],
        [refresh("a", 2.0), record("only a stage", "pipeline")],
        [record("chain", "pipeline", refused=REFUSED)],
    ],
)
def test_nothing_is_acknowledged_without_a_refusal_of_the_newest_chain(
    records: list[dict[str, Any]],
) -> None:
    assert acknowledged(records) is None


def test_a_run_up_to_a_stage_changes_nothing_of_it() -> None:
    records = [refresh("a", 2.0), record("chain", "pipeline", refused=REFUSED)]
    known = acknowledged([*records, record("ingest", "pipeline")])
    assert known
    assert known["run_id"] == "chain"


@pytest.mark.parametrize(
    ("value", "known", "is_raised"),
    [
        (0.9, 0.0, False),
        (1.1, 0.0, True),
        (2.9, 2.0, False),  # no more than a threshold past it
        (3.1, 2.0, True),
        (-1.1, 2.0, True),  # it has turned
        (-2.9, -2.0, False),
        (-3.1, -2.0, True),
        (1.4, 0.5, False),
    ],
)
def test_known_drift_is_news_when_it_grew_by_a_threshold(
    value: float, known: float, is_raised: bool
) -> None:
    found = raised([row(value)], {"masked_loss": row(known)})
    assert found == (["masked_loss"] if is_raised else [])
    assert raised([row(value)], {}) == (["masked_loss"] if abs(value) > 1 else [])
    assert raised([row(value, "other")], {"masked_loss": row(99.0)}) == (
        ["other"] if abs(value) > 1 else []
    )


def test_a_chain_that_was_to_start_is_gone_on_with_until_one_has_ended() -> None:
    started = {"started": True, "reasons": ["x"], "refused": None}
    night = refresh("a", 2.0, proposal=started)
    assert begun_and_not_ended([night]) == started
    assert begun_and_not_ended([night, refresh("b", proposal=None)]) == started
    assert begun_and_not_ended([night, record("stage", "pipeline")]) == started
    assert begun_and_not_ended([night, record("c", "pipeline", release={"id": 2})]) is None
    assert begun_and_not_ended([night, record("c", "pipeline", refused=REFUSED)]) is None
    only_proposed = started | {"started": False}
    assert begun_and_not_ended([refresh("a", 2.0, proposal=only_proposed)]) is None


def corpus_of(night: int) -> dict[str, Any]:
    input_id = f"{night:032x}"
    path = f"artifacts/ingest/{input_id}"
    return {"ingest": {"input_id": input_id, "content_id": "0" * 32, "path": path}}


def test_documents_are_new_until_a_refresh_that_published_has_compared_them() -> None:
    """Nights with too few of them to tell add up."""
    judged = refresh("judged", 0.5, artifacts=corpus_of(1), published=True)
    few = refresh("few", artifacts=corpus_of(2), published=True)
    killed = refresh("killed", 0.5, artifacts=corpus_of(3)) | {"state": "stopped"}
    found = compared_corpus([judged, few, killed])
    assert found
    assert found.input_id == f"{1:032x}"
    assert compared_corpus([few, killed]) is None
    refused = record("chain", "pipeline", refused=REFUSED)
    assert compared_corpus([judged, refused, few]) == found
    published = record("chain", "pipeline", release={"id": 2})
    assert compared_corpus([judged, published, few]) is None


def test_the_newest_refresh_is_told_whatever_became_of_it() -> None:
    killed = begun("killed", "refresh")
    assert newest_refresh([refresh("a"), killed, record("c", "pipeline")]) == killed
    assert newest_refresh([record("c", "pipeline")]) is None


def chain_of(days: float, seconds: float = 600.0, **more: Any) -> dict[str, Any]:
    stages = ("ingest", "pretrain", "tune", "export")
    made = {name: {"seconds": seconds} for name in stages}
    kept = {"release": {"id": 1}, "artifacts": made} | more
    return record(f"{days} days ago", "pipeline", days=days, **kept)


def test_nothing_is_started_unless_allowed_and_paid_for() -> None:
    assert "may_train is off" in str(why_not(RefreshConfig(gpu_hours=5), [], NOW_S))
    assert "gpu_hours is 0" in str(why_not(RefreshConfig(may_train=True), [], NOW_S))
    assert why_not(ALLOWED, [], NOW_S) is None
    assert why_not(ALLOWED, [chain_of(7.5)], NOW_S) is None


def test_it_cools_down_after_a_whole_chain_published_or_not() -> None:
    assert "began 6.5 days ago, refresh.cooldown_days is 7" in str(
        why_not(ALLOWED, [chain_of(6.5)], NOW_S)
    )
    refused = chain_of(1.0, release=None, refused=REFUSED)
    assert "cooldown_days" in str(why_not(ALLOWED, [refused], NOW_S))
    assert why_not(ALLOWED, [record("stage", "pipeline", days=1)], NOW_S) is None
    for state in ("failed", "stopped"):
        began = chain_of(1.0, release=None, until=None) | {"state": state}
        assert "cooldown_days" in str(why_not(ALLOWED, [began], NOW_S))
    before_until = record("failed", "pipeline", days=1) | {"state": "failed"}
    assert why_not(ALLOWED, [before_until], NOW_S) is None  # whether it was a whole one is unknown


def test_a_chain_that_is_gone_on_with_does_not_wait_for_itself() -> None:
    killed = dead("killed", until=None)
    assert "began 0.0 days ago" in str(why_not(ALLOWED, [killed], NOW_S))
    assert why_not(ALLOWED, [killed], NOW_S, goes_on=True) is None
    ended_well = [chain_of(2.0), killed]
    assert "began 2.0 days ago" in str(why_not(ALLOWED, ended_well, NOW_S, goes_on=True))


def dead(run_id: str, **more: Any) -> dict[str, Any]:
    """A run whose process is gone and said nothing."""
    running = begun(run_id, "pipeline")
    return running | {"owner": {**running["owner"], "started": "1"}} | more


def test_runs_up_to_a_stage_are_no_training() -> None:
    ingesting = begun("ingesting", "pipeline") | {"until": "ingest"}
    assert why_not(ALLOWED, [ingesting], NOW_S) is None
    failed = record("failed", "pipeline", days=1, seconds=7200.0, until="ingest")
    assert why_not(ALLOWED, [failed | {"state": "failed"}], NOW_S) is None
    died = dead("died", until="ingest")
    assert spent_hours([failed | {"state": "failed"}, died], NOW_S, 3.0) == 0.0


def test_every_chain_that_died_costs_what_a_chain_is_expected_to() -> None:
    """Or one that is killed for its memory would be started again every night."""
    tuned = {"artifacts": {"pretrain": {"seconds": 1800.0}}}
    records = [dead("a", until=None), dead("b", until=None) | tuned, dead("old")]
    assert spent_hours(records, NOW_S, 2.0) == pytest.approx(2.0 + 2.5)


def test_a_clock_that_jumps_starts_nothing_more_often() -> None:
    """Records in any order count, and one of the future counts as of now."""
    assert "cooldown_days" in str(why_not(ALLOWED, [chain_of(2.0), chain_of(20.0)], NOW_S))
    assert "began 0.0 days ago" in str(why_not(ALLOWED, [chain_of(-300.0)], NOW_S))
    assert spent_hours([chain_of(-300.0, 3600.0)], NOW_S, 9.0) == 3.0
    without = {name: value for name, value in chain_of(1.0).items() if name != "started_at"}
    assert why_not(ALLOWED, [without], NOW_S) is None


def test_none_is_started_beside_one_that_runs() -> None:
    running = begun("now", "pipeline")
    assert "run now is training already" in str(why_not(ALLOWED, [running], NOW_S))
    gone = running | {"owner": {**running["owner"], "started": "1"}}
    assert why_not(ALLOWED, [gone], NOW_S) is None


def test_hours_are_those_of_training_in_the_last_thirty_days() -> None:
    records = [
        chain_of(40.0, 3600.0),
        chain_of(29.0, 3600.0),
        chain_of(1.0, 36.0),
        record("failed", "pipeline", days=2, seconds=7200.0) | {"state": "failed"},
        record("night", "refresh", artifacts={"export": {"seconds": 9999.0}}),
    ]
    assert spent_hours(records, NOW_S, 9.0) == pytest.approx(3.0 + 0.03 + 2.0)


@pytest.mark.parametrize(
    ("settings", "num_gpus", "expected"),
    [
        ({}, 0, (1, 1, 1)),
        ({}, 4, (1, 1, 4)),
        ({"pretrain": {"num_processes": "auto"}}, 4, (4, 1, 4)),
        ({"pretrain": {"num_processes": 2, "num_nodes": 2, "rendezvous": "a:29500"}}, 8, (4, 1, 8)),
        ({"pretrain": {"num_processes": 1}, "export": {"device": "cuda:1"}}, 4, (1, 1, 1)),
        ({"pretrain": {"device": "cpu"}, "export": {"device": "cpu"}}, 4, (1, 1, 1)),
        ({"workers": {"gpu_stages": "gpu"}, "pretrain": {"num_processes": 8}}, 0, (8, 1, 8)),
        ({"workers": {"gpu_stages": "gpu"}}, 0, (1, 1, 1)),
    ],
)
def test_an_hour_on_many_gpus_is_as_many_gpu_hours(
    settings: dict[str, Any], num_gpus: int, expected: tuple[int, int, int]
) -> None:
    devices = devices_of(PipelineConfig.model_validate(settings), num_gpus)
    assert tuple(devices.values()) == expected
    failed = record("failed", "pipeline", days=2, seconds=7200.0) | {"state": "failed"}
    hours = spent_hours([chain_of(1.0, 3600.0), failed], NOW_S, 9.0, devices)
    assert hours == pytest.approx(sum(expected) + 2 * max(expected))
