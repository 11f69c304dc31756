"""Brings up what a team has, harms it, and looks at what comes out.

    python -m tests.operations.run --folder operations

PostgreSQL, Prefect's and MLflow's servers with sign-in and two workers are started as
`deployments/compose.yaml` says, without containers. What is to run is deployed, a schedule fires,
the pipeline sends training to the other worker, which is killed with all its processes in the
middle of it and started anew, as a container would be. In the end the published embeddings must be
those of an undisturbed run, and both servers must show them; pictures of their pages are kept in
the folder. Each step is told with the seconds since the beginning.
"""

import argparse
import base64
import json
import os
import secrets
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.corpora import topic_documents, write_jsonl
from tests.deployments.by_hand import Stack, why_not
from tests.deployments.compose_file import COMPOSE, variables
from tests.flows.chain import LABEL, QUICK, Chain, as_config
from tests.flows.prefect_api import Api
from tests.operations.browser import Page, chromium, take_pictures

NAME = "pipeline/small"
LONGER = ("--pretrain.max-steps", "400", "--pretrain.num-checkpoints", "16")
OPTIONS = (*QUICK, *LABEL, *LONGER)
CHECKPOINTS = "staging/pretrain/*/*/checkpoints/step-*"
EVERY_S = 60
LIMIT_S = 900.0
LOOK_S = 1.0
COMPARED = ("pretrain", "tune", "export")  # what was made beyond the worker's death


def main() -> None:
    """Do all steps; exit status 1 where one is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="is emptied first")
    folder = parser.parse_args().folder.absolute()
    if missing := why_not() or (None if chromium() else "no chromium: apt-get install chromium"):
        sys.exit(missing)
    shutil.rmtree(folder, ignore_errors=True)
    texts = folder / "texts"
    texts.mkdir(parents=True)
    write_jsonl(texts / "topics.jsonl", topic_documents(200))
    environment = secret_environment() | {
        "CORPUSMITH_TEXTS": str(texts),
        "CORPUSMITH_BACKUPS": str(folder),
    }
    with closing(Stack(folder, environment)) as stack:
        operate(stack, texts, environment)
    tell("all is stopped")


def secret_environment() -> dict[str, str]:
    """Fresh passwords for whatever the compose file asks for."""
    names = variables(COMPOSE.read_text("utf-8"))
    secret = {name for name in names if name.endswith(("PASSWORD", "SECRET_KEY"))}
    return {name: secrets.token_urlsafe(16) for name in secret}


def operate(stack: Stack, texts: Path, environment: dict[str, str]) -> None:
    """The steps, from servers to pictures."""
    stack.start("prefect", "mlflow")
    tell("PostgreSQL, Prefect and MLflow answer")
    stack.run("deploy")
    tell("deployed")
    stack.start("cpu-worker", "gpu-worker")
    tell("two workers are there")
    sign_in = stack.client()["PREFECT_API_AUTH_STRING"]
    api = Api(f"http://{stack.address('prefect')}/api", authorization=basic(sign_in))
    workspace = stack.volume("workspace")
    run_id = fired(api, texts, workspace)
    checkpoint = until(lambda: sorted(workspace.glob(CHECKPOINTS)))[-1].name
    stack.kill("gpu-worker")
    tell(f"killed the worker that trains, after {checkpoint}")
    stack.start("gpu-worker")
    tell("a new worker is there")
    until(lambda: state_of(api, run_id)["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"))
    state = state_of(api, run_id)
    expect(state["type"] == "COMPLETED", f"the run ended {state['name']}: {state['message']}")
    tell_how_it_resumed(api, workspace)
    compare(workspace, stack.folder / "undisturbed", texts)
    look(stack, run_id, sign_in, environment)


def fired(api: Api, texts: Path, workspace: Path) -> str:
    """Switch a schedule on, wait for it to start the pipeline, switch it off; the run's id."""
    deployment = api.deployments()[NAME]["id"]
    config = as_config(texts, OPTIONS) | {"workers": {"gpu_stages": "gpu"}}
    schedule = {
        "schedule": {"interval": EVERY_S, "anchor_date": datetime.now(UTC).isoformat()},
        "active": True,
        "parameters": {"config": config, "workspace": str(workspace)},
    }
    [made] = api.ask(f"/deployments/{deployment}/schedules", [schedule])
    tell(f"a schedule is on, for every {EVERY_S} s")
    [run] = until(lambda: [run for run in api.sent(NAME) if run["state"]["type"] == "RUNNING"])
    place = f"/deployments/{deployment}/schedules/{made['id']}"
    api.ask(place, {"active": False}, "PATCH")
    expect(run["auto_scheduled"], "the run was not started by the schedule")
    tell(f"the schedule has started {run['name']}")
    return str(run["id"])


def tell_how_it_resumed(api: Api, workspace: Path) -> None:
    """The tries of the stage whose worker died, and where its training went on."""
    tries = [run["state"]["name"] for run in reversed(api.sent("pretrain/gpu"))]
    [manifest] = workspace.glob("artifacts/pretrain/*/MANIFEST.json")
    metrics = json.loads(manifest.read_text("utf-8"))["information"]["metrics"]
    resumed, total = int(metrics["resumed_from_step"]), int(metrics["num_steps"])
    tell(f"the pipeline is done; pretraining: {', then '.join(tries)}; from step {resumed}/{total}")
    expect(resumed > 0, "training began anew")


def compare(workspace: Path, elsewhere: Path, texts: Path) -> None:
    """Hold the published embeddings against those of a run that nobody disturbed."""
    release = json.loads((workspace / "published" / "current.json").read_text("utf-8"))
    expect(bool(list((workspace / "published" / "embeddings").glob("*.parquet"))), "no embeddings")
    settings = workspace.parent / "undisturbed.toml"  # on no preset, as a flow's parameters are
    settings.write_text(as_toml(as_config(texts, OPTIONS)), "utf-8")
    whole = Chain(texts, elsewhere).answer("run", str(texts), "--config", str(settings))
    for stage in COMPARED:
        made = whole["artifacts"][stage]
        expect((workspace / made["path"]).is_dir(), f"{stage} answers another request")
        text = (workspace / made["path"] / "MANIFEST.json").read_text("utf-8")
        ours = {each["name"]: each["sha256"] for each in json.loads(text)["files"]}
        text = (elsewhere / made["path"] / "MANIFEST.json").read_text("utf-8")
        theirs = {each["name"]: each["sha256"] for each in json.loads(text)["files"]}
        expect(ours == theirs, f"{stage} has other files than without the kill")
    expect(release["id"] == whole["release"]["id"], "another release than without the kill")
    tell("embedder and embeddings are those of an undisturbed run, byte for byte")


def as_toml(config: dict[str, dict[str, Any]]) -> str:
    """The same settings as a file."""
    lines: list[str] = []
    for section, values in config.items():
        lines += [
            f"[{section}]",
            *(f"{key} = {json.dumps(value)}" for key, value in values.items()),
        ]
    return "\n".join([*lines, ""])


def look(stack: Stack, run_id: str, sign_in: str, environment: dict[str, str]) -> None:
    """See that both servers show the run, and keep pictures."""
    prefect, mlflow = (f"http://{stack.address(name)}" for name in ("prefect", "mlflow"))
    password = environment["CORPUSMITH_MLFLOW_PASSWORD"]
    headers = {"Authorization": basic(f"admin:{password}")}
    models = asked(f"{mlflow}/api/2.0/mlflow/registered-models/search?max_results=5", headers)
    [model] = models["registered_models"]
    expect(model["aliases"][0]["alias"] == "champion", "no champion among the models")
    runs = {"experiment_ids": [experiment(mlflow, headers)], "max_results": 50}
    found = asked(f"{mlflow}/api/2.0/mlflow/runs/search", headers, runs)["runs"]
    whole = [run for run in found if not is_part(run)]  # the try that was killed is part of one
    are_finished = [run["info"]["status"] == "FINISHED" for run in whole]
    expect(bool(whole) and all(are_finished), "a run of the pipeline is not finished")
    stored = {"prefect-password": base64.b64encode(sign_in.encode()).decode()}
    pages = {
        "prefect-run": Page(f"{prefect}/runs/flow-run/{run_id}", stored, {}),
        "prefect-dashboard": Page(f"{prefect}/dashboard", stored, {}),
        "mlflow-runs": Page(
            f"{mlflow}/#/experiments/{runs['experiment_ids'][0]}/runs", {}, headers
        ),
        "mlflow-model": Page(f"{mlflow}/#/models/{model['name']}", {}, headers),
    }
    take_pictures({stack.folder / f"{name}.png": page for name, page in pages.items()})
    tell(f"pictures of {len(pages)} pages are in {stack.folder}")


def is_part(run: dict[str, Any]) -> bool:
    """Whether MLflow shows the run below another."""
    return any(tag["key"] == "mlflow.parentRunId" for tag in run["data"].get("tags", ()))


def experiment(mlflow: str, headers: dict[str, str]) -> str:
    """Its id."""
    query = "experiments/get-by-name?experiment_name=corpusmith"
    found = asked(f"{mlflow}/api/2.0/mlflow/{query}", headers)
    return str(found["experiment"]["experiment_id"])


def asked(url: str, headers: dict[str, str], body: dict[str, Any] | None = None) -> Any:
    """What a server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {**headers, "Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def basic(sign_in: str) -> str:
    """A header's value."""
    return f"Basic {base64.b64encode(sign_in.encode()).decode()}"


def state_of(api: Api, run_id: str) -> dict[str, Any]:
    """A flow run's."""
    state: dict[str, Any] = api.ask(f"/flow_runs/{run_id}", method="GET")["state"]
    return state


def until(found: Callable[[], Any]) -> Any:
    """What is found, as soon as there is something."""
    deadline_s = time.monotonic() + LIMIT_S
    while not (answer := found()):
        expect(time.monotonic() < deadline_s, f"nothing came within {LIMIT_S:g} s")
        time.sleep(LOOK_S)
    return answer


def expect(holds: bool, otherwise: str) -> None:
    """End with a line where something is not as it should be."""
    if not holds:
        raise SystemExit(f"{since_start()}  {otherwise}")


def tell(text: str) -> None:
    """Say what has been done, and when."""
    sys.stdout.write(f"{since_start()}  {text}; load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.flush()


def since_start() -> str:
    """Seconds since the beginning."""
    return f"{time.time() - psutil.Process().create_time():7.1f} s"


if __name__ == "__main__":
    main()
