"""What the server is told to do about dead workers fits what runs do, without a server."""

import fnmatch
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.states import Cancelled, Completed, Crashed, Failed

from flows import perform
from flows.automations import described
from flows.deploy import TAG, prefect_file
from flows.errand import NUM_TRIES
from flows.servers import HEARTBEAT_S, HEARTBEAT_VARIABLE, prepare_prefect
from flows.session import PartOf

AUTOMATIONS = [AutomationCore.model_validate(each) for each in described()]
SILENT, NEVER_BEGAN, NOT_CANCELLED, *AGAIN = AUTOMATIONS
PART_OF = PartOf(
    run_id="20260101-000000-abcdef", experiment="e", mlflow_run_id=None, may_quote=True
)


def trigger(automation: AutomationCore) -> EventTrigger:
    assert isinstance(automation.trigger, EventTrigger)
    return automation.trigger


def test_every_name_is_ours_and_there_once() -> None:
    names = [each.name for each in AUTOMATIONS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("corpusmith: ") for name in names)


@pytest.mark.parametrize("automation", AUTOMATIONS, ids=lambda each: each.name[12:40])
def test_only_our_runs_are_minded(automation: AutomationCore) -> None:
    assert f"prefect.tag.{TAG}" in str(trigger(automation).match_related)
    assert trigger(automation).for_each == {"prefect.resource.id"}


def test_a_silent_run_is_found_within_90_seconds_and_never_between_two_heartbeats() -> None:
    evaluated_s = 5  # how often the server looks, by default
    environment = yaml.safe_load(prefect_file().read_text("utf-8"))["definitions"]["environment"]
    assert environment[HEARTBEAT_VARIABLE] == str(HEARTBEAT_S)  # on workers as by hand
    beat = timedelta(seconds=HEARTBEAT_S)
    assert trigger(SILENT).posture == Posture.Proactive
    assert 2 * beat < trigger(SILENT).within < timedelta(seconds=90 - evaluated_s)


def test_runs_by_hand_on_a_given_server_beat_as_fast(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv(HEARTBEAT_VARIABLE, "180")
    prepare_prefect(tmp_path)
    assert os.environ[HEARTBEAT_VARIABLE] == str(HEARTBEAT_S)


@pytest.mark.parametrize("state", [Completed(name="Reused"), Completed(), Failed(), Crashed()])
def test_a_run_that_ended_is_not_taken_for_dead(state: Any) -> None:
    for automation in (SILENT, NOT_CANCELLED):
        assert f"prefect.flow-run.{state.name}" in trigger(automation).expect
        assert f"prefect.flow-run.{Cancelled().name}" in trigger(automation).expect


def run_name(monkeypatch: pytest.MonkeyPatch, try_: int | None, **parameters: Any) -> str:
    class Run:
        flow_name = "pipeline"

    Run.parameters = {"workspace": "/mnt/my, works", **parameters}
    monkeypatch.setattr(perform, "flow_run", Run)
    if try_:
        monkeypatch.setenv(perform.TRY_VARIABLE, str(try_))
    return perform.run_name()


def begun_again(name: str) -> list[str]:
    """What the run that follows is told, if one does."""
    told = []
    for automation in AGAIN:
        [pattern] = trigger(automation).match["prefect.resource.name"]
        if fnmatch.fnmatchcase(name, pattern.removeprefix("!")) != pattern.startswith("!"):
            told.append(automation.actions[0].job_variables["env"][perform.TRY_VARIABLE])
    return told


@pytest.mark.parametrize(
    ("try_", "next_"), [(None, ["2"]), (2, ["3"]), (3, ["4"]), (NUM_TRIES, [])]
)
def test_a_crashed_run_is_begun_again_once_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, try_: int | None, next_: list[str]
) -> None:
    assert begun_again(run_name(monkeypatch, try_)) == next_


def test_what_a_pipeline_sent_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for part_of in (PART_OF, PART_OF.model_dump(mode="json")):
        assert begun_again(run_name(monkeypatch, None, part_of=part_of)) == []
