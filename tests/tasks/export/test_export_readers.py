"""Other programs read the dataset in three lines each, as the README shows, and find the same."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pyarrow as pa
import pytest

from tasks.embedder import Embedder
from tasks.search import Searcher
from tasks.store.manifest import render_manifest
from tests.contracts.code import ROOT
from tests.tasks.export.exports import chain, export, made_up_records, read, vectors_of

SHOWN = ROOT / "README.md"
RECORDS = made_up_records(40)
TYPES = {"float32": pa.float32(), "float16": pa.float16()}
Namespace = dict[str, Any]


def shown_block() -> str:
    [block] = re.findall(r"```py\n(.*?)```", SHOWN.read_text("utf-8"), re.DOTALL)
    return str(block)


def snippets() -> dict[str, str]:
    """The shown lines by the reader's name, which a comment above them begins with."""
    block = shown_block()
    found = dict(re.findall(r"^# (.*)\n((?:(?!# ).*\n)*)", block, re.MULTILINE))
    return {title.partition(":")[0]: code for title, code in found.items()}


@pytest.fixture(scope="module", params=["float32", "float16"])
def published(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, pa.DataType]:
    """A folder with a workspace whose release is an export."""
    folder = tmp_path_factory.mktemp(request.param)
    inputs = chain(folder, RECORDS, documents_per_shard=11)
    manifest = folder / "embedder" / "MANIFEST.json"
    manifest.write_bytes(render_manifest(inputs["tune"].manifest))
    (folder / "workspace/published").mkdir(parents=True)
    export(inputs, folder / "workspace/published/embeddings", dtype=request.param)
    return folder, TYPES[request.param]


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """The variables that the shown lines leave behind, run beside the workspace."""
    monkeypatch.chdir(folder)
    vectors = vectors_of(read(folder / "workspace/published/embeddings"))
    found: Namespace = {"vectors": vectors}
    exec(shown_block().split("\n# ")[0], found)  # says where the parts are
    exec(snippets()[name], found)
    return found


def check(ids: list[str], vectors: Any, dtype: str, folder: Path) -> None:
    table = read(folder / "workspace/published/embeddings")
    assert ids == table["doc_id"].to_pylist()
    assert (vectors.dtype, vectors.shape) == (np.dtype(dtype), (len(RECORDS), 32))
    assert np.array_equal(vectors, vectors_of(table))


def test_the_place_is_resolved_once_so_that_a_switch_meanwhile_changes_nothing(
    published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    export = (published[0] / "workspace/published/embeddings").resolve()
    (tmp_path / "workspace/published").mkdir(parents=True)
    (tmp_path / "workspace/published/embeddings").symlink_to(export)
    found = run("pyarrow", tmp_path, monkeypatch)
    assert found["parts"] == f"{export}/part-*.parquet"


def test_each_takes_three_lines_at_most() -> None:
    shown = snippets()
    assert set(shown) == {
        "pyarrow", "Polars", "DuckDB", "pandas", "Hugging Face datasets", "LanceDB", "FAISS"
    }  # fmt: skip
    for code in shown.values():
        assert len([line for line in code.splitlines() if line]) <= 3
        assert ";" not in code


def test_pyarrow(published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dtype = published
    found = run("pyarrow", folder, monkeypatch)
    column = found["table"].schema.field("embedding").type
    assert (column.value_type, column.list_size) == (dtype, 32)
    check(found["table"]["doc_id"].to_pylist(), found["vectors"], name_of(dtype), folder)


def test_polars(published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dtype = published
    found = run("Polars", folder, monkeypatch)
    kind = polars.Float32 if dtype == pa.float32() else polars.Float16
    assert found["frame"].schema["embedding"] == polars.Array(kind, 32)
    check(found["frame"]["doc_id"].to_list(), found["vectors"], name_of(dtype), folder)


def test_pandas(published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dtype = published
    found = run("pandas", folder, monkeypatch)
    check(found["frame"]["doc_id"].to_list(), found["vectors"], name_of(dtype), folder)


def test_huggingface_datasets(
    published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    folder, dtype = published
    found = run("Hugging Face datasets", folder, monkeypatch)
    feature = found["rows"].features["embedding"]
    assert (feature.feature.dtype, feature.length) == (name_of(dtype), 32)
    # its numpy format has one type for all real numbers
    check(list(found["rows"]["doc_id"][:]), found["vectors"], "float32", folder)


def test_lancedb(published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dtype = published
    found = run("LanceDB", folder, monkeypatch)
    table = found["table"].to_arrow()
    column = table.schema.field("embedding").type
    assert (column.value_type, column.list_size) == (dtype, 32)
    check(table["doc_id"].to_pylist(), vectors_of(table), name_of(dtype), folder)
    nearest = [row["doc_id"] for row in found["found"]]
    if dtype == pa.float32():
        assert nearest == expected_nearest(folder)
    else:  # it compares in half precision too, so near ties change places
        assert nearest[0] == expected_nearest(folder)[0]


def test_faiss(published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dtype = published
    found = run("FAISS", folder, monkeypatch)
    ids = read(folder / "workspace/published/embeddings")["doc_id"].to_pylist()
    check(ids, found["vectors"], name_of(dtype), folder)
    assert [ids[row] for row in found["rows"][0]] == expected_nearest(folder)


def test_duckdb_and_numpy_find_what_search_finds(
    published: tuple[Path, pa.DataType], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = published
    dataset = folder / "workspace/published/embeddings"
    table = read(dataset)
    for query in (RECORDS[3]["text"], "word17 word400 and no more"):
        [vector] = Embedder.load(folder / "embedder").encode_texts([query])
        searcher = Searcher.open(
            dataset=dataset, embedder=folder / "embedder", corpus=folder / "corpus"
        )
        [hits] = searcher.like_texts([query], 10)
        ids, scores = [hit.doc_id for hit in hits], [hit.score for hit in hits]
        monkeypatch.chdir(folder)
        found: Namespace = {"parts": f"{dataset}/part-*.parquet", "vectors": vector[None]}
        exec(snippets()["DuckDB"], found)
        assert [doc_id for doc_id, _ in found["found"]] == ids
        # It divides by the norm, which in float16 is not quite 1.
        assert [score for _, score in found["found"]] == pytest.approx(scores, abs=1e-3)
        scores_N = vectors_of(table).astype(np.float32) @ vector
        best = np.argsort(-scores_N, kind="stable")[:10]
        assert [table["doc_id"][int(row)].as_py() for row in best] == ids
        assert scores_N[best].tolist() == pytest.approx(scores, abs=1e-6)


def expected_nearest(folder: Path) -> list[str]:
    """The ten nearest to the first document."""
    table = read(folder / "workspace/published/embeddings")
    vectors = vectors_of(table).astype(np.float64)
    best = np.argsort(-(vectors @ vectors[0]), kind="stable")[:10]
    return [table["doc_id"][int(i)].as_py() for i in best]


def name_of(dtype: pa.DataType) -> str:
    return "float32" if dtype == pa.float32() else "float16"
