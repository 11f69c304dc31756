"""What can be said of stages that other workers run, without a server."""

from pathlib import Path

import pytest
import yaml
from prefect.states import Cancelled, Crashed, Failed

from flows.config import WorkersConfig, load_config, validate
from flows.deploy import deploy, prefect_file
from flows.elsewhere import _line, sent_stages
from flows.graph import STAGE_NAMES
from flows.pipeline import FLOWS
from flows.session import _place, refuse_unshared
from model.errors import RequestError
from tasks.store.workspace import Workspace

POOL = WorkersConfig(gpu_stages="gpu")
DEPLOYMENTS = yaml.safe_load(prefect_file().read_text("utf-8"))["deployments"]
PIPELINES = {
    each["name"]: each["parameters"]["config"]
    for each in DEPLOYMENTS
    if each["entrypoint"] == "flows.pipeline.pipeline"
}
REFRESHES = {
    each["name"]: each for each in DEPLOYMENTS if each["entrypoint"] == "flows.refresh.refresh"
}


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_a_pipeline_is_deployed_with_its_preset(name: str) -> None:
    config = validate(PIPELINES[name], where="prefect.yaml")
    assert config.model_copy(update={"workers": WorkersConfig()}) == load_config(name, {})


def test_a_refresh_is_deployed_for_each_pipeline_that_has_a_schedule() -> None:
    """With the same settings, every night, switched off; and it may not train."""
    assert set(REFRESHES) == {"small", "base-multi"}
    for name, each in REFRESHES.items():
        assert each["parameters"]["config"] == PIPELINES[name]
        assert not validate(each["parameters"]["config"], where="prefect.yaml").refresh.may_train
        [plan] = each["schedules"]
        assert (plan["slug"], plan["active"]) == ("nightly", False)
        assert plan["timezone"] == "Europe/Berlin"
        assert plan["cron"].split()[2:] == ["*", "*", "*"]


def test_every_stage_is_deployed_once_under_its_pool() -> None:
    stages = [each for each in DEPLOYMENTS if each["entrypoint"].startswith("flows.stages.")]
    assert [each["entrypoint"].rsplit(".", 1)[1] for each in stages] == list(STAGE_NAMES)
    assert all(each["name"] == each["work_pool"]["name"] for each in stages)
    on_gpu = [each["entrypoint"].rsplit(".", 1)[1] for each in stages if each["name"] == "gpu"]
    assert on_gpu == sent_stages(POOL, STAGE_NAMES)


def test_nothing_is_sent_unless_asked() -> None:
    assert sent_stages(WorkersConfig(), STAGE_NAMES) == []
    assert sent_stages(POOL, ["ingest", "pretrain"]) == ["pretrain"]


def test_who_works_changes_no_identity() -> None:
    sent = load_config("smoke", {"workers": {"gpu_stages": "gpu", "deadline_s": 5}})
    plain = load_config("smoke", {})
    for name in FLOWS:
        assert getattr(sent, name).identity() == getattr(plain, name).identity()


def test_a_failure_is_told_in_the_words_of_the_run() -> None:
    prefix = "Flow run encountered an exception: "
    ours = Failed(message=f"{prefix}RequestError: pretrain.device: there is no cuda:7")
    assert _line("pretrain", ours, POOL) == "in the pool gpu: pretrain.device: there is no cuda:7"
    other = Failed(message=f"{prefix}OSError: [Errno 28] No space left\nsecond line")
    assert _line("tune", other, POOL) == "in the pool gpu: OSError: [Errno 28] No space left"
    assert "was cancelled" in _line("tune", Cancelled(), POOL)
    killed = _line("tune", Crashed(message="Process exited with status code: -9. It may"), POOL)
    assert killed.startswith("tune: its run in the pool gpu crashed 4 times, at last: Process")
    assert "run again" in killed


def test_a_worker_that_does_not_see_the_workspace_says_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=f"no workspace at {tmp_path}/away on .*mount it"):
        _place(str(tmp_path / "away"), has_begun=True)
    assert not (tmp_path / "away").exists()
    assert _place(str(tmp_path / "new"), has_begun=False) == Workspace(tmp_path / "new")
    assert _place(str(tmp_path / "new"), has_begun=True) == Workspace(tmp_path / "new")


def test_a_worker_refuses_a_place_below_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unshared("./workspace")
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "x")
    refuse_unshared("/ws")
    with pytest.raises(RequestError, match="give the deployment an absolute path"):
        refuse_unshared("./workspace")


@pytest.mark.parametrize("arguments", [(["texts"], "/ws"), ([], "./workspace")])
def test_deploying_a_relative_path_is_refused(arguments: tuple[list[str], str]) -> None:
    with pytest.raises(RequestError, match="is relative to a folder that no worker runs in"):
        deploy(*arguments)


def test_deploying_to_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(RequestError, match="PREFECT_API_URL"):
        deploy(["s3://bucket/texts"], "/ws")
