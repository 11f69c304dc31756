"""MLflow away, slow or behind a gateway: training goes on, and every number arrives once."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.config import PipelineConfig
from tasks.execute import Outcome
from tasks.tracking import StageTrack, Tracker, open_tracker, replay, sender
from tests.faults.proxy import Proxy, page
from tests.faults.stages import config_of, run_stage, without
from tests.faults.table import Table
from tests.tasks.chain import Listener
from tests.tasks.evaluate.folders import write_embedder
from tests.tasks.tracking.conftest import MlflowServer
from tests.tasks.tracking.history import history

NUM_STEPS = 60
GOES_AT, COMES_AT = 20, 40  # steps
MAX_BLOCKED_S = 2.0  # of all calls while the stage runs; one slow answer takes five times as long
MAX_END_S = 12.0
SENT_S, MET_S = 60.0, 20.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]  # a server starts, maybe slowly

Deed = Callable[[Proxy], None]


@dataclass(frozen=True)
class Outage:
    """What is done to the proxy: before the run, at steps of the training, and after the run."""

    name: str
    before: Deed = lambda proxy: None
    at: Mapping[int, Deed] = field(default_factory=dict)
    after: Deed = lambda proxy: None


def away(proxy: Proxy) -> None:
    proxy.refuse()


def back(proxy: Proxy) -> None:
    proxy.delay_s, proxy.hangs, proxy.says, proxy.loses = 0.0, False, None, lambda request: False
    proxy.refuse()
    proxy.resume()


def slow(proxy: Proxy) -> None:
    proxy.delay_s = 10.0


def hanging(proxy: Proxy) -> None:
    proxy.hangs = True


def saying(status: str) -> Deed:
    def say(proxy: Proxy) -> None:
        proxy.says = page(status)

    return say


def losing(proxy: Proxy) -> None:
    """The first answer to each kind of request never arrives, though the server did as asked."""
    seen: Counter[bytes] = Counter()

    def is_first(request: bytes) -> bool:
        asked = request.partition(b"\r\n")[0]
        seen[asked] += 1
        return seen[asked] == 1

    proxy.loses = is_first


OUTAGES = [
    Outage("down at the start", away, {GOES_AT: back}),
    Outage("down in the middle", at={GOES_AT: away, COMES_AT: back}),
    Outage("down for the whole run", away, after=back),
    Outage("slow by 10 s", slow, after=back),
    Outage("slow by 10 s from the middle on", at={GOES_AT: slow}, after=back),
    Outage("hangs from the middle on", at={GOES_AT: hanging}, after=back),
    Outage("answers get lost", losing),
    Outage(
        "a gateway says 404 in the middle", at={GOES_AT: saying("404 Not Found"), COMES_AT: back}
    ),
    Outage("a gateway says 503 from the middle on", at={GOES_AT: saying("503 Busy")}, after=back),
]


class Watched(Listener):
    """Keeps what the stage reports, and tells the tracker of it, with a stop watch."""

    def __init__(self, track: StageTrack, at: Mapping[int, Callable[[], None]]) -> None:
        super().__init__()
        self.blocked_s = 0.0
        self._track = track
        self._at = dict(at)

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        super().metrics(values, step=step)
        began_s = time.perf_counter()
        self._track.metrics(values, step=step)
        self.blocked_s += time.perf_counter() - began_s
        if deed := self._at.pop(step or 0, None):
            deed()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    made = MlflowServer(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def proxy(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Before MLflow, and where runs are told that it is."""
    made = Proxy(server.port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.url)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "outages")
    monkeypatch.setattr(sender, "BATCH_S", 0.05)
    monkeypatch.setattr(sender, "LAST_PAUSE_S", 0.5)
    yield made
    made.refuse()


@pytest.fixture(scope="module")
def undisturbed(tokens: Path, corpus: Path) -> str:
    """The content id of a training that nothing happens to."""
    workspace = without(tokens, corpus.parent / "undisturbed", {"pretrain"})
    return train(corpus, workspace, Listener()).ref.content_id


def train(corpus: Path, workspace: Path, report: Listener) -> Outcome:
    """Pretraining in this process, of more steps than the other faults take."""
    config = settings(corpus)
    return run_stage("pretrain", corpus, workspace, config=config, report=report)


def settings(corpus: Path) -> PipelineConfig:
    config = config_of(corpus)
    longer = config.pretrain.model_copy(update={"max_steps": NUM_STEPS})
    return config.model_copy(update={"pretrain": longer})


def test_an_embedder_is_registered_once_though_answers_get_lost(
    server: MlflowServer, proxy: Proxy, tmp_path: Path, table: Table
) -> None:
    embedder, state, lines = write_embedder(tmp_path / "embedder"), tmp_path / "state", []
    losing(proxy)
    tracker = opened(state, tmp_path.name, lines)
    tracker.register_embedder(embedder, "outage-embedder", {"content_id": "aa"})
    tracker.close()
    back(proxy)
    assert not [line for line in lines if "lost" in line]
    assert_sent(state)
    client = MlflowClient(server.uri)
    [version] = client.search_model_versions("name = 'outage-embedder'")
    experiment = client.get_experiment_by_name("outages")
    assert experiment is not None
    [model] = client.search_logged_models([experiment.experiment_id], "name = 'outage-embedder'")
    assert (version.status, model.status.name) == ("READY", "READY")
    table.add("MLflow: answers get lost", "registration", "one model, one version")


@dataclass(frozen=True)
class Watch:
    """A run as seen by who waited for it: how long for the tracker, and what was said of that."""

    content_id: str
    report: Watched
    blocked_s: float
    end_s: float
    lines: list[str]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.name.replace(" ", "-"))
def test_training_goes_on_and_every_number_arrives_once(
    outage: Outage,
    server: MlflowServer,
    proxy: Proxy,
    tokens: Path,
    corpus: Path,
    undisturbed: str,
    tmp_path: Path,
    table: Table,
) -> None:
    workspace = without(tokens, tmp_path / "workspace", {"pretrain"})
    outage.before(proxy)
    seen = run_through(outage, proxy, corpus, workspace, name=tmp_path.name)
    outage.after(proxy)
    assert seen.content_id == undisturbed
    assert seen.blocked_s < MAX_BLOCKED_S
    assert seen.end_s < MAX_END_S
    assert not [line for line in seen.lines if "lost" in line]
    assert_sent(workspace / "state")
    assert_arrived(MlflowClient(server.uri), tmp_path.name, seen.report)
    table.add(
        f"MLflow: {outage.name}",
        "pretrain",
        f"the same content; {seen.blocked_s * 1e3:.0f} ms of waiting while it trains, "
        f"{seen.end_s:.1f} s at the end; every number once and in order",
    )


def run_through(outage: Outage, proxy: Proxy, corpus: Path, workspace: Path, *, name: str) -> Watch:
    """A run of one stage, as a flow tells the tracker of it."""
    lines: list[str] = []
    tracker = opened(workspace / "state", name, lines)
    began_s = time.perf_counter()
    with tracker.stage("pretrain", {"max_steps": NUM_STEPS}) as track:
        report = Watched(track, deeds(outage, proxy, tracker))
        blocked_s = time.perf_counter() - began_s
        outcome = train(corpus, workspace, report)
        began_s = time.perf_counter()
        track.metrics(outcome.metrics)
    blocked_s += time.perf_counter() - began_s + report.blocked_s
    began_s = time.perf_counter()
    assert tracker.about["tracking_uri"] == proxy.url
    tracker.close()
    end_s = time.perf_counter() - began_s
    return Watch(outcome.ref.content_id, report, blocked_s, end_s, lines)


def opened(state: Path, name: str, lines: list[str]) -> Tracker:
    """The tracker of a run of that name; what it warns of is added to the lines."""
    return open_tracker(
        state,
        experiment="corpusmith",
        run_id=name,
        run_name=name,
        tags={},
        params={"seed": 1},
        warn=lines.append,
    )


def deeds(outage: Outage, proxy: Proxy, tracker: Tracker) -> dict[int, Callable[[], None]]:
    """What happens at which step. Before it MLflow has the run, or the outage has been met; to
    wait for that is not counted."""

    def do(deed: Deed) -> None:
        if proxy.is_open:
            assert tracker.about["run_id"]
        deadline_s = time.monotonic() + MET_S
        while not (proxy.is_open or tracker._sender.problem) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        deed(proxy)

    return {step: lambda deed=deed: do(deed) for step, deed in outage.at.items()}


def assert_sent(state: Path) -> None:
    """The next start sends the rest, once the thread that was at it has ended."""
    deadline_s = time.monotonic() + SENT_S
    while list((state / "spool").iterdir()):
        assert time.monotonic() < deadline_s
        assert replay(state) == 0
        time.sleep(0.1)


def assert_arrived(client: MlflowClient, name: str, report: Listener) -> None:
    """One run and one stage, ended; every point that was reported, once and in order."""
    experiment = client.get_experiment_by_name("outages")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    [parent] = [run for run in runs if run.info.run_name == name]
    [stage] = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert (parent.info.status, stage.info.status) == ("FINISHED", "FINISHED")
    assert (parent.data.params, stage.data.params) == (
        {"seed": "1"},
        {"pretrain.max_steps": str(NUM_STEPS)},
    )
    points: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for step, values in report.measured:
        for metric, value in values.items():
            if step is not None:
                points[metric].append((step, value))
    assert len(points["train_loss"]) >= NUM_STEPS // 10
    for metric, expected in points.items():
        found = history(client, stage, f"pretrain/{metric}")
        assert found[: len(expected)] == expected, metric
