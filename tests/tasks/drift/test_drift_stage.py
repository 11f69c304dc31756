"""New documents beside the reference, as a committed artifact."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.drift.config import DriftConfig
from tasks.embedder import load_tokenizer
from tasks.execute import Outcome
from tests.tasks.drift.nights import BEFORE, CONFIG, Night, documents, night
from tests.tasks.store.making import new_store

MEASURES = ["bytes_per_token", "single_byte_share", "masked_loss", "embedding_distance"]
MORE = documents(25, prefix="more", seed=9)
OTHER = documents(25, prefix="other", seed=9, letters="etaoETAO0123456789")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("drift")
    return night(folder, new_store(folder), BEFORE)


@pytest.fixture(scope="module")
def ordinary(world: Night) -> Outcome:
    return world.measure(world.refs("ordinary", [*BEFORE[:-5], *MORE]))


def answer(world: Night, outcome: Outcome) -> dict[str, Any]:
    folder = world.store.workspace.path / outcome.ref.path
    found: dict[str, Any] = json.loads((folder / "drift.json").read_text("utf-8"))
    return found


def test_an_ordinary_night_is_quiet_and_all_its_numbers_are_told(
    world: Night, ordinary: Outcome
) -> None:
    found = answer(world, ordinary)
    assert found["says"].startswith("quiet: 25 new documents beside 70 of the reference")
    assert not found["alarm"]
    folder = world.store.workspace.path / ordinary.ref.path
    rows = pq.read_table(folder / "drift.parquet").to_pylist()
    assert rows == found["measures"]
    assert [row["measure"] for row in rows] == MEASURES
    for row in rows:
        assert row["low"] < 0 < row["high"] < row["threshold"]
        assert 0 < row["share_above"] <= 1
        assert (row["num_documents"], row["num_reference_documents"]) == (25, 70)
    assert ordinary.metrics["alarm"] == 0
    assert ordinary.metrics["masked_loss"] == rows[2]["new"]
    assert ordinary.metrics["masked_loss_shift"] == pytest.approx(
        rows[2]["new"] - rows[2]["reference"]
    )
    assert ordinary.metrics["num_new_documents"] == 25


def test_documents_of_other_letters_raise_an_alarm(world: Night, ordinary: Outcome) -> None:
    outcome = world.measure(world.refs("other", [*BEFORE, *OTHER]))
    found = answer(world, outcome)
    assert found["alarm"]
    assert found["says"].startswith("drift: 25 new documents beside 70 of the reference: ")
    above = {row["measure"] for row in found["measures"] if row["alarm"]}
    assert {"bytes_per_token", "embedding_distance"} <= above
    assert outcome.metrics["alarm"] == 1
    was = [row["reference"] for row in answer(world, ordinary)["measures"]]
    now = [row["reference"] for row in found["measures"]]
    assert now[:2] == was[:2]
    assert now[2] == pytest.approx(was[2], abs=1e-6), "masks are the document's own"


def test_tokens_are_counted_as_the_tokenizer_makes_them(world: Night, ordinary: Outcome) -> None:
    vocab = world.store.resolve(world.shared["vocab"])
    tokenizer = load_tokenizer(vocab.file("tokenizer.json"))
    texts = [str(record["text"]) for record in MORE]
    encoded = [tokenizer.encode(text, add_special_tokens=False).tokens for text in texts]
    per_token = np.mean([len(t) / len(e) for t, e in zip(texts, encoded, strict=True)])
    single = np.mean([np.mean([len(name) == 1 for name in tokens]) for tokens in encoded])
    rows = answer(world, ordinary)["measures"]
    assert rows[0]["new"] == pytest.approx(per_token)
    assert rows[1]["new"] == pytest.approx(single)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_of_documents_that_left_are_made_again(world: Night, dtype: str) -> None:
    """The reference is the same whether the newest corpus still has it or not."""
    stayed = world.measure(world.refs(f"stay{dtype}", [*BEFORE, *MORE], dtype=dtype))
    gone = BEFORE[:-40]  # of the reference 30 stay
    left = world.measure(world.refs(f"left{dtype}", [*gone, *MORE], dtype=dtype))
    distances = [outcome.metrics["embedding_distance"] for outcome in (stayed, left)]
    assert distances[0] == pytest.approx(distances[1], abs=1e-5 if dtype == "float32" else 1e-3)


def test_a_handful_of_documents_tells_nothing(world: Night) -> None:
    outcome = world.measure(world.refs("few", [*BEFORE, *OTHER[:3]]))
    found = answer(world, outcome)
    assert found["says"] == "too few to tell: 3 new documents, 8 are needed"
    assert not found["alarm"]
    assert found["measures"] == []
    assert outcome.metrics["num_new_documents"] == 3
    assert outcome.metrics["alarm"] == 0


def test_no_more_new_ones_are_taken_than_half_of_the_reference(world: Night) -> None:
    refs = world.refs("many", [*BEFORE, *documents(60, prefix="many", seed=5)])
    found = answer(world, world.measure(refs))
    assert (found["num_new_documents"], found["num_documents"]) == (60, 35)
    smaller = answer(world, world.measure(refs, CONFIG.model_copy(update={"num_documents": 40})))
    assert (smaller["num_documents"], smaller["num_reference_documents"]) == (20, 40)


def test_a_small_reference_tells_nothing(tmp_path: Path) -> None:
    few = [record for record in BEFORE if record["split"] != "test"] + BEFORE[-10:]
    world = night(tmp_path, new_store(tmp_path), few)
    found = answer(world, world.measure(world.refs("other", [*few, *OTHER])))
    assert found["says"].startswith("too few to tell: the embedder's corpus has 10 test documents")
    assert not found["alarm"]


def test_no_word_of_a_document_is_kept(world: Night, ordinary: Outcome) -> None:
    folder = world.store.workspace.path / ordinary.ref.path
    for path in folder.iterdir():
        content = path.read_bytes()
        assert not any(str(record["text"]).encode()[:20] in content for record in MORE), path.name
    assert "<script" not in (folder / "report.html").read_text("utf-8")


def test_what_was_measured_is_found_again(world: Night, ordinary: Outcome) -> None:
    again = world.measure(world.refs("ordinary-again", [*BEFORE[:-5], *MORE]))
    found, before = (dict(answer(world, each)) for each in (again, ordinary))
    for one, other in zip(found.pop("measures"), before.pop("measures"), strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():  # the last bits of vectors follow their batch
            is_real = isinstance(value, float)
            assert one[name] == (pytest.approx(value, rel=1e-5) if is_real else value)
    assert found == before


def test_where_it_is_computed_changes_no_identity() -> None:
    assert DriftConfig(device="cpu").identity() == DriftConfig().identity()
    assert DriftConfig().false_alarm_frac == pytest.approx(1 / 30)
