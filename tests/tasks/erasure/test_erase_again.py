"""Erasures that are refused, and those that are asked for again: neither does harm."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from model.errors import ArtifactError, RequestError
from tasks.erasure.erase import erase
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.store import Store
from tasks.tombstones import read_tombstones
from tasks.tracking.location import embedded, prepare_environment
from tasks.tracking.mlflow_sink import MlflowSink
from tests.tasks.erasure.workshop import CANARY, PHRASE, Workshop, files_of, records
from tests.tasks.store.making import flip_bit, overwrite
from tests.tasks.tracking.history import client_of


def test_a_number_that_was_erased_means_nobody_else_later(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    nameless = [{k: v for k, v in each.items() if k != "id"} for each in records()]
    workshop.write(nameless)
    workshop.run()
    workshop.write(nameless[1:])
    workshop.run()
    erase(workshop.store, workshop.wish("corpus.jsonl#24"))
    stones = read_tombstones(workshop.store.workspace)
    before = files_of(workshop)
    erase(workshop.store, workshop.wish("corpus.jsonl#24"))
    assert read_tombstones(workshop.store.workspace) == stones
    assert {path for path, when in files_of(workshop).items() if before.get(path) != when} == {
        path for path in files_of(workshop) if "receipts" in path.parts and path not in before
    }


def test_a_number_that_was_refused_leaves_no_tombstone(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    nameless = [{k: v for k, v in each.items() if k != "id"} for each in records()]
    nameless[3]["text"] = 17
    workshop.write(nameless)
    workshop.run()
    assert workshop.ledger()["corpus.jsonl#3"]["reason"] not in (None, "erased")
    erase(workshop.store, workshop.wish("corpus.jsonl#3"))
    assert workshop.ledger()["corpus.jsonl#3"]["reason"] == "erased"
    assert read_tombstones(workshop.store.workspace).digest is None


def test_a_database_in_use_stops_it_before_anything_is_rewritten(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.erasure.databases.PATIENCE_S", 0.1)
    (workshop.root / "state" / "prefect").mkdir(parents=True)
    path = workshop.root / "state/prefect/prefect.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE log (message TEXT)")
        database.execute("INSERT INTO log VALUES (?)", (CANARY,))
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RequestError, match=r"prefect\.db .*then `corpusmith erase --yes`"):
            erase(workshop.store, workshop.wish("canary"))
        database.execute("ROLLBACK")
    assert workshop.store.erased(workshop.store.artifacts()) == []
    erase(workshop.store, workshop.wish())
    assert PHRASE.encode() not in path.read_bytes()
    assert "canary" not in workshop.rows()["doc_id"].to_pylist()


@pytest.mark.parametrize("name", [MANIFEST_NAME, "tokenizer.json"])
def test_damage_is_not_sealed_in(workshop: Workshop, name: str) -> None:
    flip_bit(workshop.path("vocab") / name, bit=80)
    before = files_of(workshop)
    with pytest.raises(ArtifactError, match=r"vocab.*delete .*then erase again"):
        erase(workshop.store, workshop.wish("canary"))
    after = files_of(workshop)
    assert {path for path in after if after[path] != before.get(path)} <= {
        workshop.root / "erased" / ".lock"
    }


def test_a_damaged_table_of_a_corpus_is_told(workshop: Workshop) -> None:
    path = next((workshop.path("ingest") / "rows").glob("part-*.parquet"))
    overwrite(path, path.read_bytes()[:-30])
    with pytest.raises(ArtifactError, match=r"part-.* cannot be read: bring"):
        erase(workshop.store, workshop.wish("canary"))


def test_an_index_that_a_search_makes_meanwhile_goes(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = workshop.root / "state" / "search"
    place.mkdir()
    names = [f"{workshop.refs['export'].content_id}.faiss{end}" for end in ("", ".partial")]

    def search_then_delete(store: Store) -> list[tuple[Path, int]]:
        for name in names:
            (place / name).write_bytes(b"old vectors")
        return delete(store)

    delete = Store.delete_leftovers
    monkeypatch.setattr(Store, "delete_leftovers", search_then_delete)
    receipt = erase(workshop.store, workshop.wish("canary"))
    assert not list(place.iterdir())
    assert {str(place / name) for name in names} <= {each["path"] for each in receipt["deleted"]}


def test_a_tracker_that_was_away_is_seen_to_by_the_same_command(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    first = erase(workshop.store, workshop.wish("canary"))
    assert first["tracker"]["problem"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    page = page_in_tracker(workshop)
    again = erase(workshop.store, workshop.wish("canary"))
    assert again["tracker"]["problem"] is None
    assert (again["tracker"]["num_pages"], again["tracker"]["num_models"]) == (1, 1)
    assert PHRASE not in page.read_text()


def page_in_tracker(workshop: Workshop) -> Path:
    """An MLflow with a page that quotes and a model that learned; gives where the page lies."""
    prepare_environment()
    state = workshop.store.workspace.state
    MlflowSink(embedded(state), "corpusmith")
    client = client_of(state)
    found = client.get_experiment_by_name("corpusmith")
    assert found
    tags = {"corpusmith.content_id": workshop.refs["evaluate"].content_id}
    run = client.create_run(found.experiment_id, tags=tags)
    client.log_text(run.info.run_id, CANARY, "report.html")
    client.create_registered_model("embedder")
    learned = {"corpusmith.content_id": workshop.refs["tune"].content_id}
    client.create_model_version("embedder", "file:///nowhere", tags=learned)
    return next((state / "mlartifacts").rglob("report.html"))
