"""``corpusmith release`` on a planted workspace, with MLflow's own database beside it."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.champion import follow_pointer
from flows.cli import main
from flows.releases import _copy
from model.errors import CorpusmithError, RequestError
from tasks.release.pointer import current, publish
from tasks.release.release import MODEL_NAME
from tasks.store.store import Store
from tasks.tracking.location import prepare_environment
from tests.tasks.release.planted import DIM, Planted, documents, planted, unit
from tests.tasks.store.making import identity_of, make, new_store
from tests.tasks.tracking.history import client_of

Capture = pytest.CaptureFixture[str]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Planted]]:
    """Two releases of two embedders; vectors of the second are those of the first, turned."""
    store = new_store(tmp_path_factory.mktemp("releases"))
    rng = np.random.default_rng(0)
    rows = documents(120)
    old = unit(rng.normal(size=(120, DIM)))
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    new = np.concatenate([old[:, :8] @ turn, old[:, 8:]], axis=1)
    folder = tmp_path_factory.mktemp("made")
    one = planted(store, folder / "one", rows, old, seed=1)
    two = planted(store, folder / "two", rows, unit(new), seed=2)
    prepare_environment()
    from tasks.tracking.location import embedded
    from tasks.tracking.mlflow_sink import MlflowSink

    MlflowSink(embedded(store.workspace.state), "corpusmith")  # its database takes seconds
    return store, [one, two]


@pytest.fixture
def ask(
    made: tuple[Store, list[Planted]],
    tmp_path: Path,
    capfd: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> Ask:
    """Asks the command line about a copy of the workspace."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "workspace"
    shutil.copytree(made[0].workspace.path, place, symlinks=True)

    def answer(*arguments: str, status: int = 0) -> dict[str, Any]:
        given = ["release", *arguments, "--workspace", str(place), "--json"]
        capfd.readouterr()
        assert main(given) == status
        told = capfd.readouterr()
        if status:
            return {"error": told.err}
        parsed: dict[str, Any] = json.loads(told.out)
        return parsed | {"heard": told.err}

    return answer


@pytest.fixture
def store(ask: Ask, tmp_path: Path) -> Store:
    return new_store(tmp_path)


def champion(store: Store) -> dict[str, str]:
    version = client_of(store.workspace.state).get_model_version_by_alias(MODEL_NAME, "champion")
    return dict(version.tags)


def test_the_list_has_every_release_and_every_switch(ask: Ask) -> None:
    answer = ask("list")
    assert answer["current"] == 2
    assert [each["id"] for each in answer["releases"]] == [2, 1]
    assert all(each["present"] for each in answer["releases"])
    assert [(each["kind"], each["release"]) for each in answer["history"]] == [
        ("published", 1),
        ("published", 2),
    ]


def test_a_rollback_moves_pointer_link_and_alias(
    ask: Ask, store: Store, made: tuple[Store, list[Planted]]
) -> None:
    answer = ask("rollback")
    assert (answer["release"]["id"], answer["before"], answer["switched"]) == (1, 2, True)
    assert champion(store)["corpusmith.release"] == "1"
    export = made[1][0].export.ref.path
    assert (store.workspace.published / "embeddings").resolve() == store.workspace.path / export
    assert ask("list")["history"][-1]["kind"] == "rolled_back"
    assert ask("rollback", "2")["switched"]
    assert champion(store)["corpusmith.release"] == "2"
    again = ask("rollback", "2")
    assert not again["switched"]
    assert len(ask("list")["history"]) == 4


def test_alias_and_pointer_agree_again_after_a_kill_between_them(
    ask: Ask, store: Store, made: tuple[Store, list[Planted]]
) -> None:
    workspace, warnings = store.workspace, []
    ask("rollback", "1")
    assert champion(store)["corpusmith.release"] == "1"
    second = made[1][1]
    child = os.fork()
    if child == 0:
        publish(workspace, embedder=second.embedder.ref, export=second.export.ref)
        os.kill(os.getpid(), signal.SIGKILL)  # before it could tell the tracker
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    now = current(workspace)
    assert now
    assert now.id == 2
    assert champion(store)["corpusmith.release"] == "1"
    follow_pointer(workspace, warnings.append)
    assert champion(store)["corpusmith.release"] == "2"
    follow_pointer(workspace, warnings.append)
    assert champion(store)["corpusmith.content_id"] == now.embedder.content_id
    assert warnings == []


def test_an_mlflow_that_is_away_is_a_warning_and_the_pointer_has_moved(
    ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    answer = ask("rollback")
    assert answer["champion"] is None
    assert "the next run tries again" in answer["heard"]
    now = current(store.workspace)
    assert now
    assert now.id == 1


def test_two_releases_are_compared_in_scores_neighbours_and_settings(
    ask: Ask, made: tuple[Store, list[Planted]]
) -> None:
    answer = ask("compare", "1", "2")
    assert (answer["first"]["id"], answer["second"]["id"]) == (1, 2)
    assert answer["neighbours"]["num_common"] == 120
    assert answer["neighbours"]["overlap"]["value"] == pytest.approx(1.0)  # turned, not torn
    assert {each["documents"] for each in answer["trial"]["measured"]} == {"both"}
    assert any("tune.seed: 1 -> 2" in line for line in answer["differences"])
    assert "there was no release 9" in ask("compare", "1", "9", status=2)["error"]


def test_vectors_are_aligned_into_the_store_and_to_a_folder(ask: Ask, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "aligned"
    answer = ask("align", "--output", str(output))
    assert (answer["new"], answer["onto"]) == (2, 1)
    assert answer["metrics"]["align/cosine"] == pytest.approx(1.0, abs=1e-4)
    assert {path.name for path in output.iterdir()} == {
        "part-00000.parquet",
        "part-00001.parquet",
        "dataset.json",
        "rotation.safetensors",
        "alignment.json",
    }
    assert [path.name for path in output.parent.iterdir()] == ["aligned"]
    again = ask("align", "2", "1")
    assert again["artifact"]["reused"]
    assert again["path"].endswith(again["artifact"]["path"])
    assert "there already" in ask("align", "--output", str(output), status=2)["error"]
    assert "its own space" in ask("align", "--onto", "2", status=2)["error"]


def test_a_copy_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, output = tmp_path / "made", tmp_path / "out" / "aligned"
    made.mkdir()
    (made / "part").symlink_to(tmp_path / "gone")  # `shutil.Error`, which has no strerror
    with pytest.raises(CorpusmithError, match=r"No such file.* kept in the .* at a/b") as it:
        _copy(made, output, "a/b")
    assert not isinstance(it.value, RequestError)
    assert not list(output.parent.iterdir())
    (made / "part").unlink()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _copy(made, output, "a/b")
    assert not list(output.parent.iterdir())


def test_a_rollback_to_new_embeddings_of_an_embedder_finds_its_version(
    ask: Ask, store: Store, made: tuple[Store, list[Planted]]
) -> None:
    second = made[1][1]
    inputs = {"tune": second.embedder}
    export = make(store, identity_of("export", inputs, night=1), inputs=inputs)
    publish(store.workspace, embedder=second.embedder.ref, export=export.ref)
    ask("rollback", "2")
    ask("rollback", "3")
    assert champion(store)["corpusmith.release"] == "2"
    versions = client_of(store.workspace.state).search_model_versions(f"name = '{MODEL_NAME}'")
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "1"), "takes 0 ids"),
        (("compare", "1"), "takes 2 ids"),
        (("rollback", "1", "2"), "takes 0 or 1 ids"),
        (("rollback", "--onto", "1"), "are of align"),
        (("align", "2", "1", "--onto", "2"), "OLD is named twice, 1 and --onto 2"),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Ask, arguments: tuple[str, ...], said: str) -> None:
    assert said in ask(*arguments, status=2)["error"]


def test_people_see_the_same(ask: Ask, store: Store, capfd: Capture) -> None:
    place = str(store.workspace.path)
    for arguments, said in (
        (["list"], "published  1 -> 2"),
        (["compare", "1", "2"], "neighbour overlap at 10 over 120 common documents: 1.000"),
        (["align"], "release 2 in the space of release 1"),
        (["rollback"], "release 1 is current again, 2 was"),
    ):
        capfd.readouterr()
        assert main(["release", *arguments, "--workspace", place]) == 0
        assert said in capfd.readouterr().out
