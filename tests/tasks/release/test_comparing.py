"""What two releases have in common, against plain computations over all their vectors."""

from pathlib import Path

import numpy as np
import pytest

from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.release.common_rows import CommonRows, sample_of
from tasks.release.comparing import (
    NUM_NEIGHBOURS,
    differences_in_settings,
    neighbourhoods,
    scores_of,
    trial_inputs,
    trial_settings,
)
from tasks.release.trial.config import TrialConfig
from tasks.store.store import Store
from tests.tasks.release.planted import DIM, Planted, documents, planted, unit
from tests.tasks.store.making import identity_of, make, new_store

NUM_SHARED = 70


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return new_store(tmp_path_factory.mktemp("comparing"))


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    """Of 80 documents, then of 90 of which 70 are the same; one of the shared ones moved far."""
    rng = np.random.default_rng(0)
    first = unit(rng.normal(size=(80, DIM)))
    shared = first[10:].copy()
    shared[5] = -shared[5]
    shared = unit(shared + 0.01 * rng.normal(size=shared.shape))
    return {"first": first, "second": np.concatenate([unit(rng.normal(size=(20, DIM))), shared])}


@pytest.fixture(scope="module")
def two(
    store: Store, vectors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Planted, Planted]:
    folder = tmp_path_factory.mktemp("made")
    old = documents(80)
    new = documents(20, seed=9) + old[10:]
    new[3] = new[3] | {"doc_id": "only here"}
    one = planted(store, folder / "one", old, vectors["first"], seed=1)
    return one, planted(store, folder / "two", new, vectors["second"], seed=2)


def test_rows_of_the_same_text_find_each_other(two: tuple[Planted, Planted]) -> None:
    datasets = [EmbeddingsDataset(sorted(each.export.path.glob("part-*.parquet"))) for each in two]
    rows = CommonRows.of(*datasets)
    old = documents(80)
    assert rows.num_documents == NUM_SHARED
    assert rows.doc_ids == [row["doc_id"] for row in old[10:]]
    assert rows.splits.tolist() == [row["split"] for row in old[10:]]
    assert rows.first.rows_C.tolist() == list(range(10, 80))
    assert rows.second.rows_C.tolist() == list(range(20, 90))
    asked = np.array([2, 68])
    np.testing.assert_array_equal(rows.second.vectors_of(asked), datasets[1].vectors()[[22, 88]])


def test_overlap_is_that_of_all_cosines_whatever_the_blocks(
    store: Store,
    two: tuple[Planted, Planted],
    vectors: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.embeddings_dataset.BLOCK_BYTES", 4 * DIM * 7)
    found = neighbourhoods(store, two[0].release, two[1].release)
    assert (found.num_common, found.num_asked) == (NUM_SHARED, NUM_SHARED)
    near = []
    for own in (vectors["first"][10:], vectors["second"][20:]):
        alike = own @ own.T
        np.fill_diagonal(alike, -2)
        near.append(np.argsort(-alike, axis=1)[:, :NUM_NEIGHBOURS])
    shares = [len({*a} & {*b}) / NUM_NEIGHBOURS for a, b in zip(*near, strict=True)]
    assert found.overlap
    assert found.overlap.value == pytest.approx(np.mean(shares))
    assert found.moved[0].doc_id == documents(80)[15]["doc_id"]
    assert found.moved[0].overlap == min(shares)
    assert found.moved[0].cosine is None
    assert found.moved_by_vector == []


def test_of_many_documents_some_are_asked(store: Store, two: tuple[Planted, Planted]) -> None:
    found = neighbourhoods(store, two[0].release, two[1].release, max_queries=20)
    assert (found.num_common, found.num_asked) == (NUM_SHARED, 20)
    assert sample_of(np.arange(5), 5, 0).tolist() == [0, 1, 2, 3, 4]
    sampled = sample_of(np.arange(100), 10, 0)
    assert len(set(sampled)) == 10
    assert (np.diff(sampled) > 0).all()


def test_of_one_embedder_vectors_are_compared_too_and_there_is_no_trial(
    store: Store, two: tuple[Planted, Planted]
) -> None:
    release = two[0].release
    found = neighbourhoods(store, release, release)
    assert found.overlap
    assert found.overlap.value == 1.0
    assert found.moved_by_vector[0].cosine == pytest.approx(1.0)
    assert trial_inputs(release, release) is None
    inputs = trial_inputs(release, two[1].release)
    assert inputs
    assert inputs["tune"] == two[1].embedder.ref
    assert inputs["tune/released"] == two[0].embedder.ref


def test_a_trial_asks_as_the_embedder_was_evaluated(
    store: Store, two: tuple[Planted, Planted]
) -> None:
    embedder = two[1].embedder
    assert trial_settings(store, embedder.ref) == TrialConfig()
    inputs = {"tune": embedder}
    make(store, identity_of("evaluate", inputs, min_words=3, lsa_dim=9), inputs=inputs)
    assert trial_settings(store, embedder.ref) == TrialConfig(min_words=3)


def test_settings_that_differ_are_named_from_the_files_on(
    store: Store, two: tuple[Planted, Planted]
) -> None:
    first, second = two[0].release, two[1].release
    lines = differences_in_settings(store, first, second)
    assert [line.split(":")[0] for line in lines] == [
        "ingest.folder",
        "tune.seed",
        "export.folder",
    ]
    assert "1 -> 2" in lines[1]
    assert differences_in_settings(store, first, first) == []


def test_scores_of_both_stand_side_by_side(two: tuple[Planted, Planted]) -> None:
    first = two[0].release.model_copy(update={"scores": {"a": 0.5, "b": 1.0}})
    second = two[1].release.model_copy(update={"scores": {"a": 0.7}})
    assert scores_of(first, second) == [{"metric": "a", "first": 0.5, "second": 0.7}]


def test_too_few_in_common_is_a_finding(
    store: Store, two: tuple[Planted, Planted], tmp_path: Path
) -> None:
    rows = documents(5, seed=77)
    other = planted(store, tmp_path / "other", rows, unit(np.eye(5, DIM)), seed=5)
    found = neighbourhoods(store, two[0].release, other.release)
    assert (found.num_common, found.overlap, found.moved) == (0, None, [])
