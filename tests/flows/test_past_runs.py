"""What `plan` learns from the runs of a workspace, and what it must not learn."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.config import PipelineConfig, validate
from flows.cost import cost_of
from flows.graph import StageName, load_stage, upstream_of
from flows.past_runs import PastRuns, past_runs
from flows.plan import plan_run
from flows.speed import Speed
from tasks.execute import identify
from tasks.store.identity import Identity
from tasks.store.manifest import MANIFEST_NAME, InputEntry, Manifest, render_manifest
from tasks.store.store import Store
from tasks.store.surroundings import describe_machine
from tasks.store.workspace import Workspace

SPEED = Speed(8e11)
COUNTED: dict[str, dict[str, float]] = {
    "ingest": {
        "num_text_bytes": 4e6,
        "num_source_bytes": 4.2e6,
        "num_kept": 2000.0,
        "num_train_text_bytes": 3e6,
        "num_validation_text_bytes": 2e5,
    },
    "tokenize": {"num_tokens": 1e6},
}
TOLD: dict[str, Any] = {"created_at": "2026-01-02T00:00:00+00:00", **describe_machine()}


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text.txt").write_text("a few words " * 500)
    return validate({"ingest": {"paths": [str(tmp_path / "texts")]}}, where="test")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(str(tmp_path / "workspace"))


def keep_run(
    workspace: Workspace,
    config: PipelineConfig,
    seconds: dict[StageName, float],
    **information: Any,
) -> None:
    """Manifests as a run leaves them; files play no part here."""
    made: dict[str, InputEntry] = {}
    for name, lasted_s in seconds.items():
        inputs = {upstream: made[upstream] for upstream in upstream_of(name, config)}
        ids: dict[str, str] = {upstream: entry.input_id for upstream, entry in inputs.items()}
        identity: Identity = identify(load_stage(name), getattr(config, name), ids)
        metrics = COUNTED.get(name, {})
        told = {**TOLD, "metrics": metrics, "seconds": lasted_s, **information}
        manifest = Manifest(identity=identity, inputs=inputs, files=(), information=told)
        folder = workspace.artifact_folder(name, identity.input_id)
        folder.mkdir(parents=True)
        (folder / MANIFEST_NAME).write_bytes(render_manifest(manifest))
        made[name] = InputEntry(input_id=identity.input_id, content_id=manifest.content_id)


def modelled(past: PastRuns, stage: StageName) -> float:
    """What the model says of the work of the one past run of a stage."""
    [each] = [each for each in past.stages if each.stage == stage]
    return cost_of(stage, each.config, each.amounts, SPEED, done_frac=each.done_frac).seconds


def predicted(past: PastRuns, config: PipelineConfig, stage: StageName) -> float:
    """The seconds of a run that reads what the past one has read."""
    read = next(each.amounts for each in past.stages if each.stage == "pretrain")
    cost = cost_of(stage, config, read, SPEED)
    return past.calibrate(stage, cost, SPEED).seconds


CHAIN: dict[StageName, float] = {"ingest": 3.0, "vocab": 9.0, "tokenize": 5.0, "pretrain": 700.0}


def changed(config: PipelineConfig, **settings: dict[str, Any]) -> PipelineConfig:
    values = config.model_dump()
    for section, each in settings.items():
        values[section] |= each
    return validate(values, where="test")


def test_the_same_again_takes_as_long_again(config: PipelineConfig, workspace: Workspace) -> None:
    keep_run(workspace, config, CHAIN)
    past = past_runs(Store(workspace))
    for stage, seconds in CHAIN.items():
        assert predicted(past, config, stage) == pytest.approx(seconds)


def test_what_was_compiled_is_not_compiled_again(
    config: PipelineConfig, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = COUNTED.get("vocab", {})
    monkeypatch.setitem(COUNTED, "vocab", {**counted, "compile_seconds": 6.0})
    keep_run(workspace, config, CHAIN)
    assert predicted(past_runs(Store(workspace)), config, "vocab") == pytest.approx(3.0)


def test_settings_and_amounts_are_those_of_the_run(
    config: PipelineConfig, workspace: Workspace
) -> None:
    ran = changed(config, pretrain={"max_steps": 123}, vocab={"vocab_size": 4096})
    keep_run(workspace, ran, CHAIN)
    [pretrain] = [each for each in past_runs(Store(workspace)).stages if each.stage == "pretrain"]
    assert pretrain.config.pretrain == ran.pretrain
    assert pretrain.config.vocab.vocab_size == 4096
    assert pretrain.amounts.num_tokens == 1e6
    assert pretrain.amounts.num_train_bytes == pytest.approx(3e6)


def test_a_slow_machine_is_as_slow_next_time(config: PipelineConfig, workspace: Workspace) -> None:
    """With twice the steps: all but what it takes to begin doubles."""
    keep_run(workspace, config, CHAIN)
    past = past_runs(Store(workspace))
    twice = changed(config, pretrain={"max_steps": 2 * config.pretrain.max_steps})
    slowness = 700.0 / modelled(past, "pretrain")
    [read] = [each.amounts for each in past.stages if each.stage == "pretrain"]
    model = cost_of("pretrain", twice, read, SPEED).seconds
    assert predicted(past, twice, "pretrain") == pytest.approx(slowness * model)
    assert 1050 < predicted(past, twice, "pretrain") < 1400


def test_a_stage_that_never_ran_is_a_guess_and_says_so(
    config: PipelineConfig, workspace: Workspace
) -> None:
    keep_run(workspace, config, CHAIN)
    past = past_runs(Store(workspace))
    cost = cost_of("export", config, past.stages[0].amounts, SPEED)
    assert past.calibrate("export", cost, SPEED) == cost
    assert not cost.is_measured
    assert "has not run" in cost.rests_on


@pytest.mark.parametrize(
    "other", [{"host": "elsewhere"}, {"num_gpus": 64}, {"num_processors": 999}]
)
def test_runs_of_another_machine_do_not_count(
    config: PipelineConfig, workspace: Workspace, other: dict[str, Any]
) -> None:
    keep_run(workspace, config, CHAIN, **other)
    past = past_runs(Store(workspace))
    assert past.stages == ()
    assert past.num_elsewhere == dict.fromkeys(CHAIN, 1)


def test_a_record_of_before_processors_were_noted_counts_by_its_host(
    config: PipelineConfig, workspace: Workspace
) -> None:
    manifest = Manifest(
        identity=identify(load_stage("ingest"), config.ingest, {}),
        inputs={},
        files=(),
        information={"host": TOLD["host"], "seconds": 3.0, "metrics": COUNTED["ingest"]},
    )
    folder = workspace.artifact_folder("ingest", manifest.identity.input_id)
    folder.mkdir(parents=True)
    (folder / MANIFEST_NAME).write_bytes(render_manifest(manifest))
    assert [each.stage for each in past_runs(Store(workspace)).stages] == ["ingest"]


def test_the_last_attempt_of_a_resumed_stage_says_nothing(
    config: PipelineConfig, workspace: Workspace
) -> None:
    keep_run(workspace, config, CHAIN, resumed=True)
    assert past_runs(Store(workspace)).stages == ()


def test_a_training_that_stopped_early_is_held_to_the_steps_it_took(
    config: PipelineConfig, workspace: Workspace
) -> None:
    early = {"best_step": 25.0}  # of 200, with three validations after it
    keep_run(workspace, config, {**CHAIN, "tune": 100.0}, metrics={**COUNTED["ingest"], **early})
    past = past_runs(Store(workspace))
    [tune] = [each for each in past.stages if each.stage == "tune"]
    assert tune.done_frac == pytest.approx(0.5)
    assert predicted(past, config, "tune") > 100.0


def test_of_several_runs_the_median_of_the_most_alike_counts(
    config: PipelineConfig, workspace: Workspace
) -> None:
    """A run of another size, and one that was disturbed, do not."""
    for number, seconds in enumerate([700.0, 720.0, 2100.0]):
        ran = changed(config, pretrain={"seed": number})
        keep_run_again(workspace, ran, seconds)
    keep_run_again(workspace, changed(config, pretrain={"max_steps": 4}), 9999.0)
    past = past_runs(Store(workspace))
    assert predicted(past, config, "pretrain") == pytest.approx(720.0)


def keep_run_again(workspace: Workspace, config: PipelineConfig, seconds: float) -> None:
    """Pretraining after stages that were found as they were."""
    for folder in list(workspace.artifacts.glob("*/*")):
        if folder.parent.name != "pretrain":
            (folder / MANIFEST_NAME).unlink()
            folder.rmdir()
    keep_run(workspace, config, {**CHAIN, "pretrain": seconds})


def test_the_plan_tells_what_its_seconds_rest_on(
    config: PipelineConfig, workspace: Workspace
) -> None:
    keep_run(workspace, config, CHAIN)
    more = changed(config, pretrain={"max_steps": 10 * config.pretrain.max_steps})
    planned = plan_run(more, str(workspace.path), why=False)
    stages = {each["stage"]: each for each in planned["stages"]}
    assert stages["ingest"]["seconds"] == 0.0
    assert stages["pretrain"]["rests_on"] == "1 earlier run here, of 10 times less work"
    assert "has not run" in stages["export"]["rests_on"]
    totals, due = planned["totals"], [each for each in stages.values() if each["action"] == "run"]
    assert totals["seconds"] == pytest.approx(
        totals["overhead_seconds"] + sum(each["seconds"] for each in due), abs=0.5
    )
    guessed = [each["seconds"] for each in due if "has not run" in each["rests_on"]]
    assert totals["guessed_seconds"] == pytest.approx(sum(guessed), abs=0.5)


def test_a_plan_names_the_machines_it_did_not_count(
    config: PipelineConfig, workspace: Workspace
) -> None:
    keep_run(workspace, config, CHAIN, host="elsewhere")
    planned = plan_run(changed(config, vocab={"vocab_size": 9000}), str(workspace.path), why=False)
    [vocab] = [each for each in planned["stages"] if each["stage"] == "vocab"]
    assert "1 run on another machine" in vocab["rests_on"]
    assert json.dumps(planned)
