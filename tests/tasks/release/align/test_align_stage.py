"""A planted rotation is undone, cuts included, and a classifier of old vectors goes on working."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from model.errors import CorpusError, RequestError
from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.execute import Outcome, execute
from tasks.export.config import ExportConfig
from tasks.release.align.config import AlignConfig
from tasks.release.align.definition import ALIGN, OLD_EXPORT
from tasks.stage import map_in_order
from tasks.store.store import Store
from tests.corpora import TOPICS
from tests.tasks.chain import Listener
from tests.tasks.release.planted import DIM, Planted, documents, planted, unit
from tests.tasks.store.making import new_store

BLOCKS = [(0, 8), (8, 16), (16, 32)]
ROWS = documents(300)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return new_store(tmp_path_factory.mktemp("align"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    """Old ones in four clusters by topic; new ones rotated block by block, with noise."""
    rng = np.random.default_rng(0)
    centres = dict(zip(sorted(TOPICS), rng.normal(size=(4, DIM)), strict=True))
    old = unit(np.array([centres[row["topic"]] + 0.8 * rng.normal(size=DIM) for row in ROWS]))
    turned = [
        old[:, first:end] @ np.linalg.qr(rng.normal(size=(end - first, end - first)))[0]
        for first, end in BLOCKS
    ]
    new = unit(np.concatenate(turned, axis=1) + 0.02 * rng.normal(size=old.shape))
    return {"old": old, "new": new}


@pytest.fixture(scope="module")
def two(
    store: Store, vectors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Planted, Planted]:
    folder = tmp_path_factory.mktemp("made")
    config = ExportConfig(int8=True, binary=True)
    old = planted(store, folder / "old", ROWS, vectors["old"], seed=1)
    return old, planted(store, folder / "new", ROWS, vectors["new"], seed=2, config=config)


def aligned(store: Store, new: Planted, old: Planted, listener: Listener | None = None) -> Outcome:
    inputs = {"ingest": new.corpus.ref, "export": new.export.ref, OLD_EXPORT: old.export.ref}
    return execute(
        ALIGN,
        AlignConfig(num_resamples=100),
        inputs,
        store=store,
        report=listener or Listener(),
        map_shards=map_in_order,
    )


@pytest.fixture(scope="module")
def outcome(store: Store, two: tuple[Planted, Planted]) -> Outcome:
    return aligned(store, two[1], two[0])


def dataset(folder: Path) -> EmbeddingsDataset:
    return EmbeddingsDataset(sorted(folder.glob("part-*.parquet")))


def test_aligned_vectors_lie_where_the_old_ones_lie_whole_and_cut(
    store: Store, outcome: Outcome, vectors: dict[str, np.ndarray]
) -> None:
    found = dataset(store.folder_of(outcome.ref)).vectors()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    for _, end in BLOCKS:
        cosines = np.sum(unit(found[:, :end]) * unit(vectors["old"][:, :end]), axis=1)
        before = np.sum(unit(vectors["new"][:, :end]) * unit(vectors["old"][:, :end]), axis=1)
        assert cosines.mean() > 0.95 > 0.5 > before.mean()


def test_the_costs_are_those_of_documents_that_were_not_fitted_on(
    outcome: Outcome, store: Store, vectors: dict[str, np.ndarray]
) -> None:
    folder = store.folder_of(outcome.ref)
    is_test = np.array([row["split"] == "test" for row in ROWS])
    found = dataset(folder).vectors()
    metrics = outcome.metrics
    assert metrics["num_fitted"] == (~is_test).sum()
    cosines = np.sum(found * vectors["old"], axis=1)[is_test]
    assert metrics["cosine"] == pytest.approx(cosines.mean(), abs=1e-5)
    assert metrics["cosine_low"] <= metrics["cosine"] <= metrics["cosine_high"]
    assert metrics["cosine_dim_8"] > 0.9
    assert metrics["overlap"] > 0.8 > 0.5 > metrics["overlap_before"]
    told = json.loads((folder / "alignment.json").read_text())
    assert told["is_held_out"] is True
    assert told["why_no_labels"] is None
    assert told["measured"]["cosine"]["n"] == is_test.sum()


def test_a_classifier_trained_on_old_vectors_goes_on_working(outcome: Outcome) -> None:
    metrics = outcome.metrics
    assert metrics["accuracy_old"] > 0.9
    assert metrics["accuracy_old_on_aligned"] > metrics["accuracy_new"] - 0.03
    assert metrics["accuracy_old_on_new"] < 0.6


def test_all_but_the_vectors_is_as_it_was_and_the_files_name_the_rotation(
    store: Store, outcome: Outcome, two: tuple[Planted, Planted]
) -> None:
    folder, new = store.folder_of(outcome.ref), two[1].export.path
    for path in sorted(new.glob("part-*.parquet")):
        before, after = pq.read_table(path), pq.read_table(folder / path.name)
        assert after.schema.equals(before.schema)
        others = [name for name in before.column_names if "embedding" not in name]
        others.remove("scale")
        assert after.select(others).equals(before.select(others))
        numbers = np.array(after["embedding_int8"].to_pylist()) * np.array(after["scale"])[:, None]
        np.testing.assert_allclose(numbers, np.array(after["embedding"].to_pylist()), atol=5e-3)
        told, old = (json.loads(each.schema.metadata[b"corpusmith"]) for each in (after, before))
        assert told["embedder_id"].startswith(f"{old['embedder_id']}+")
        assert told["rotated_onto"]["export"] == two[0].export.ref.content_id
        assert (told["shard"], told["num_shards"]) == (old["shard"], old["num_shards"])
    summary = json.loads((folder / "dataset.json").read_text())
    assert summary["matryoshka_dims"] == [8, 16, 32]


def test_whoever_applies_the_rotation_gets_the_same_vectors(
    store: Store, outcome: Outcome, vectors: dict[str, np.ndarray]
) -> None:
    folder = store.folder_of(outcome.ref)
    rotation = load_file(folder / "rotation.safetensors")
    assert set(rotation) == {f"block_{first}_{end}" for first, end in BLOCKS}
    turned = [
        vectors["new"][:, first:end] @ rotation[f"block_{first}_{end}"] for first, end in BLOCKS
    ]
    np.testing.assert_allclose(np.concatenate(turned, axis=1), dataset(folder).vectors(), atol=1e-5)


def test_it_is_made_once(store: Store, outcome: Outcome, two: tuple[Planted, Planted]) -> None:
    assert aligned(store, two[1], two[0]).reused


def test_what_cannot_be_aligned_is_refused(
    store: Store, two: tuple[Planted, Planted], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    narrow = planted(store, tmp_path / "n", ROWS[:40], unit(rng.normal(size=(40, 16))), seed=3)
    with pytest.raises(RequestError, match=r"vectors of 16 numbers .* of 32"):
        aligned(store, narrow, two[0])
    others = documents(10, seed=50)
    other = planted(store, tmp_path / "o", others, unit(rng.normal(size=(10, DIM))), seed=4)
    with pytest.raises(CorpusError, match="0 documents in common"):
        aligned(store, other, two[0])


def test_too_few_documents_for_a_rotation_are_told(
    store: Store, two: tuple[Planted, Planted], tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    few = planted(store, tmp_path / "few", ROWS[:12], unit(rng.normal(size=(12, DIM))), seed=5)
    listener = Listener()
    found = aligned(store, few, two[0], listener)
    assert "do not determine a rotation of 16 numbers" in listener.warnings[0]
    told = json.loads((store.folder_of(found.ref) / "alignment.json").read_text())
    assert "too many to learn" in told["why_no_labels"]
