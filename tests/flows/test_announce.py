"""Switches of the pointer and refusals are events for a shared Prefect server, harmless without."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.announce import PUBLISHED, REFUSED
from tests.flows.chain import plain
from tests.flows.prefect_api import Api, start_server

pytestmark = pytest.mark.slow

START_S = 180.0
TELL = """
import sys
from flows.announce import announce, announce_refusal
from tasks.release.release import Release
from tasks.store.artifact import ArtifactRef
from tasks.store.workspace import Workspace

def ref(stage):
    path = f"artifacts/{stage}/{'0' * 32}"
    return ArtifactRef(stage=stage, input_id="0" * 32, content_id="a" * 32, path=path)

workspace = Workspace.open(sys.argv[1])
release = Release(id=3, embedder=ref("tune"), export=ref("export"), published_at="now")
announce(workspace, release, "rolled_back", 4, print)
refused = {name: ref(name).model_dump(mode="json") for name in ("embedder", "export")}
announce_refusal(workspace, release, refused | {"reasons": ["recall@1 is lower"]}, print)
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    server = start_server(tmp_path_factory.mktemp("server"))
    try:
        server.wait_until_ready(START_S)
        yield Api(f"{server.url}/api")
    finally:
        server.stop()


def tell(workspace: Path, url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(workspace)],
        capture_output=True,
        text=True,
        env=plain() | {"PREFECT_API_URL": url},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def the_event(api: Api, name: str) -> dict[str, Any]:
    """The only one of that name, as soon as the server has it."""
    wanted = {"filter": {"event": {"name": [name]}}}
    deadline = time.monotonic() + 60  # the server writes events down some at a time
    while not (found := api.ask("/events/filter", wanted)["events"]):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    [event] = found
    return dict(event)


def test_the_server_has_the_events_with_their_ids(api: Api, tmp_path: Path) -> None:
    assert tell(tmp_path / "workspace", api.url) == ""
    event = the_event(api, REFUSED)
    assert event["resource"]["prefect.resource.name"] == "workspace"
    assert event["payload"] == {
        "workspace": str(tmp_path / "workspace"),
        "release": 3,
        "reasons": ["recall@1 is lower"],
        "embedder": "a" * 32,
        "export": "a" * 32,
    }
    event = the_event(api, PUBLISHED)
    assert event["resource"]["prefect.resource.name"] == "workspace"
    assert event["payload"] == {
        "workspace": str(tmp_path / "workspace"),
        "kind": "rolled_back",
        "release": 3,
        "before": 4,
        "embedder": "a" * 32,
        "export": "a" * 32,
        "export_path": f"artifacts/export/{'0' * 32}",
        "corpus": None,
    }


def test_a_server_that_is_away_hinders_nothing(tmp_path: Path) -> None:
    tell(tmp_path / "workspace", "http://127.0.0.1:9/api")
