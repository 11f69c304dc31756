"""Challenger and released embedder are asked the same, on documents that neither learned from."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.embedder import Embedder
from tasks.execute import Outcome, execute
from tasks.release.trial.config import TrialConfig
from tasks.release.trial.definition import RELEASED_CORPUS, RELEASED_EMBEDDER, TRIAL
from tasks.release.trial.findings import BOTH, NEW, Trial
from tasks.stage import map_in_order
from tasks.store.artifact import Artifact
from tasks.store.store import Store
from tests.tasks.chain import Listener
from tests.tasks.release.planted import corpus_of, documents, embedder_of
from tests.tasks.store.making import new_store

SETTINGS = TrialConfig(min_words=5, num_resamples=100, device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return new_store(tmp_path_factory.mktemp("trial"))


def tried(
    store: Store, ours: tuple[Artifact, Artifact], theirs: tuple[Artifact, Artifact]
) -> Outcome:
    inputs = {
        "ingest": ours[0].ref,
        "tune": ours[1].ref,
        RELEASED_CORPUS: theirs[0].ref,
        RELEASED_EMBEDDER: theirs[1].ref,
    }
    return execute(TRIAL, SETTINGS, inputs, store=store, report=Listener(), map_shards=map_in_order)


@pytest.fixture(scope="module")
def pairs(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    """A released corpus of 60 documents and a challenger's of 120, and an embedder of each."""
    folder = tmp_path_factory.mktemp("made")
    old = corpus_of(store, folder / "old", documents(60))
    new = corpus_of(store, folder / "new", documents(120))
    return {
        "old": (old, embedder_of(store, folder / "a", old, 1)),
        "new": (new, embedder_of(store, folder / "b", new, 2)),
    }


def recall(embedder: Path, rows: list[dict]) -> float:
    """Counted by hand, with halves cut as evaluate cuts them."""
    from tasks.evaluate.halves import cut_in_halves

    halves = [cut_in_halves(row["text"], min_words=5) for row in rows]
    first, second = (
        Embedder.load(embedder).encode_texts([half[at] for half in halves if half]) for at in (0, 1)
    )
    alike = first @ second.T
    return float(np.mean([(row >= row[at]).sum() == 1 for at, row in enumerate(alike)]))


def test_common_and_new_documents_are_asked_apart_and_of_both(
    store: Store, pairs: dict[str, tuple]
) -> None:
    outcome = tried(store, pairs["new"], pairs["old"])
    assert not outcome.reused
    trial = Trial.read(store.folder_of(outcome.ref))
    assert (trial.num_both, trial.num_new, trial.num_learned) == (20, 20, 0)
    tests = [row for row in documents(120) if row["split"] == "test"]
    for kind, rows in ((BOTH, tests[:20]), (NEW, tests[20:])):
        found = trial.of(kind)
        assert found
        own, other = (recall(pairs[name][1].path, rows) for name in ("new", "old"))
        assert found.challenger.value == pytest.approx(own)
        assert found.released.value == pytest.approx(other)
        assert found.difference.value == pytest.approx(own - other)
        assert found.difference.low <= found.difference.value <= found.difference.high
        assert outcome.metrics[f"{kind}_recall_at_1_difference"] == found.difference.value
        assert found.difference.n == len(rows)


def test_a_second_trial_of_the_same_two_is_the_first(store: Store, pairs: dict[str, tuple]) -> None:
    first = tried(store, pairs["new"], pairs["old"])
    again = tried(store, pairs["new"], pairs["old"])
    assert again.reused
    assert again.ref == first.ref
    assert again.metrics == first.metrics
    inputs = store.get("trial", first.ref.input_id).manifest.inputs
    assert set(inputs) == set(TRIAL.upstream)
    assert [link["stage"] for link in store.lineage(store.folder_of(first.ref))].count("tune") == 2


def test_documents_the_released_one_learned_from_are_no_questions(
    store: Store, pairs: dict[str, tuple], tmp_path: Path
) -> None:
    learned = [row | {"split": "train"} for row in documents(60)]
    corpus = corpus_of(store, tmp_path / "learned", learned)
    embedder = embedder_of(store, tmp_path / "c", corpus, 3)
    outcome = tried(store, pairs["old"], (corpus, embedder))
    trial = Trial.read(store.folder_of(outcome.ref))
    assert trial.measured == []
    assert (trial.num_both, trial.num_new, trial.num_learned) == (0, 0, 20)


def test_the_file_holds_numbers_and_no_text(store: Store, pairs: dict[str, tuple]) -> None:
    outcome = tried(store, pairs["new"], pairs["old"])
    told = json.loads((store.folder_of(outcome.ref) / "trial.json").read_text())
    assert {each["documents"] for each in told["measured"]} == {BOTH, NEW}
    assert "sea-" not in json.dumps(told)
