"""The served model gives the vectors that corpusmith itself makes, of whole documents."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas
import pytest

from tasks.embedder import Embedder, cut
from tasks.tracking import served_embedder
from tests.contracts.code import imports, modules
from tests.tasks.evaluate.folders import write_embedder

TEXTS = [
    "The ship left the harbour.",
    "A storm rose; the ship and its crew sailed on. " * 20,
    "",
    "[MASK] [SEP] is text, as 船 is",
]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedder(tmp_path_factory.mktemp("served") / "tune")


@pytest.fixture(scope="module")
def saved(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=served_embedder.__file__,
        artifacts={served_embedder.ARTIFACT: str(embedder)},
        pip_requirements=["mlflow", "torch", "transformers", "tokenizers", "numpy"],
        model_config={served_embedder.DIM: None},
    )
    return folder


def test_no_file_is_a_pickle(saved: Path) -> None:
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert any(path.name == "model.safetensors" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".bin", ".pt")]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]


@pytest.mark.parametrize("form", [list, lambda texts: pandas.DataFrame({"text": texts})])
def test_vectors_are_the_embedders_own_whole_documents_too(
    saved: Path, embedder: Path, form: Any
) -> None:
    vectors = np.asarray(mlflow.pyfunc.load_model(str(saved)).predict(form(TEXTS)))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, Embedder.load(embedder).encode_texts(TEXTS), atol=1e-5)


def test_vectors_are_cut_where_the_configuration_says_so(saved: Path, embedder: Path) -> None:
    loaded = mlflow.pyfunc.load_model(str(saved), model_config={served_embedder.DIM: 8})
    expected = cut(Embedder.load(embedder).encode_texts(TEXTS), 8)
    np.testing.assert_allclose(np.asarray(loaded.predict(TEXTS)), expected, atol=1e-5)
    with pytest.raises(Exception, match="dim 9"):
        mlflow.pyfunc.load_model(str(saved), model_config={served_embedder.DIM: 9})


def test_it_stands_alone() -> None:
    [tree] = [tree for path, tree in modules("tasks") if path.endswith("/served_embedder.py")]
    names = {name.split(".")[0] for name in imports(tree)}
    assert "transformers" in names
    assert not names & {"tasks", "model", "flows"}
