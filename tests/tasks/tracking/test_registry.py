"""The registered embedder: loads through MLflow alone, holds no pickle, and has one champion."""

from pathlib import Path

import numpy as np
import pytest

from tasks.embedder import Embedder
from tasks.tracking.registry import cut_card
from tests.tasks.evaluate.folders import write_embedder
from tests.tasks.tracking.conftest import Open
from tests.tasks.tracking.history import client_of, run_named


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small embedder's folder with random weights."""
    return write_embedder(tmp_path_factory.mktemp("embedder") / "whole")


@pytest.mark.filterwarnings("error:.*(Type hint used|Decorate your|Failed to infer):UserWarning")
def test_an_embedder_is_registered_once_and_loads(
    state: Path,
    tracked: Open,
    warnings: list[str],
    embedder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracker = tracked()
    versions = [
        tracker.register_embedder(embedder, "corpusmith-embedder", {"content_id": content})
        for content in ("aa", "bb", "aa")
    ]
    tracker.set_champion("corpusmith-embedder", {"content_id": "aa"})
    tracker.close()
    assert (versions, warnings) == (["1", "2", "1"], [])

    client = client_of(state)
    champion = client.get_model_version_by_alias("corpusmith-embedder", "champion")
    assert champion.version in (1, "1")
    assert champion.tags["corpusmith.content_id"] == "aa"
    assert champion.run_id == run_named(client, "run-1").info.run_id
    files = [path for path in (state / "mlartifacts").rglob("*") if path.is_file()]
    assert any(path.name == "model.safetensors" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".bin", ".pt")]
    requirements = next(path for path in files if path.name == "requirements.txt").read_text()
    assert "transformers==" in requirements
    assert "+" not in requirements

    import mlflow.pyfunc

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.about["tracking_uri"] or "")
    loaded = mlflow.pyfunc.load_model("models:/corpusmith-embedder@champion")
    vectors = np.asarray(loaded.predict(["one two", "two"]))
    direct = Embedder.load(embedder).encode_texts(["one two", "two"])
    np.testing.assert_allclose(vectors, direct, atol=1e-5)


def test_a_champion_nobody_registered_is_reported(
    state: Path, tracked: Open, warnings: list[str]
) -> None:
    tracker = tracked()
    tracker.set_champion("corpusmith-embedder", {"content_id": "unknown"})
    tracker.close()
    assert len(warnings) == 1
    assert "unknown" in warnings[0]


def test_an_embedder_that_is_gone_is_reported(
    tracked: Open, warnings: list[str], tmp_path: Path
) -> None:
    tracker = tracked()
    assert tracker.register_embedder(tmp_path / "gone", "corpusmith-embedder", {}) is None
    tracker.close()
    assert len(warnings) == 1
    assert "gone" in warnings[0]


def test_a_card_too_long_for_mlflow_ends_with_a_whole_section() -> None:
    short = "# Model\n\n## Data\n\nsome\n"
    assert cut_card(short) == short
    cut = cut_card(short + "\n## Scores\n" + "x" * 5000)
    assert cut.startswith(short.rstrip())
    assert "Scores" not in cut
    assert cut.endswith("in the model's `README.md`.")
