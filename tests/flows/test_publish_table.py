"""What the nightly flow publishes, is refused, and starts; by its functions alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.champion import champion_of
from flows.config import PipelineConfig
from flows.publication import _was_withdrawn, reasons_to_refuse
from flows.refresh import _proposal, publish_table
from model.errors import CorpusmithError, RequestError
from tasks.release.pointer import Release, current, history, publish, roll_back
from tasks.store.artifact import Artifact
from tasks.store.run_records import begun, ended
from tasks.store.store import Store
from tests.tasks.store.making import identity_of, make, new_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def embedder(store: Store) -> Artifact:
    return make(store, identity_of("tune", {"ingest": make(store, identity_of("ingest"))}))


def table(store: Store, embedder: Artifact, night: int) -> Artifact:
    inputs = {"tune": embedder}
    files = {"part": f"{night}".encode()}
    return make(store, identity_of("export", inputs, night=night), inputs=inputs, files=files)


@pytest.fixture
def tables(store: Store, embedder: Artifact) -> list[Artifact]:
    return [table(store, embedder, night) for night in range(3)]


@pytest.fixture
def first(store: Store, embedder: Artifact, tables: list[Artifact]) -> Release:
    return publish(store.workspace, embedder=embedder.ref, export=tables[0].ref, scores={"a": 1})


def test_a_table_that_was_rolled_back_from_stays_away(
    store: Store, first: Release, tables: list[Artifact]
) -> None:
    workspace, told = store.workspace, []
    second = publish_table(workspace, first, tables[1].ref, told.append)
    assert (second.id, second.scores, told) == (2, {"a": 1}, [])
    roll_back(workspace)
    switches = len(history(workspace))
    assert publish_table(workspace, first, tables[1].ref, told.append) == first
    assert current(workspace) == first
    assert len(history(workspace)) == switches
    assert told == [
        "release 2 with this table was rolled back from: "
        "`corpusmith release rollback 2` brings it back"
    ]
    assert publish_table(workspace, first, tables[2].ref, told.append).id == 3
    roll_back(workspace, 2)
    roll_back(workspace, 1)


def test_who_went_back_from_a_table_has_not_withdrawn_its_embedder(
    store: Store, first: Release, embedder: Artifact, tables: list[Artifact]
) -> None:
    """What a whole chain makes may be that embedder again."""
    run: Any = SimpleNamespace(workspace=store.workspace)
    publish_table(store.workspace, first, tables[1].ref, print)
    roll_back(store.workspace)
    assert _was_withdrawn(run, {"tune": embedder.ref}) is None
    other = make(store, identity_of("tune", k=2), files={"weights": b"other"})
    publish(store.workspace, embedder=other.ref, export=table(store, other, 9).ref)
    assert _was_withdrawn(run, {"tune": embedder.ref}) is None
    roll_back(store.workspace)
    reason = _was_withdrawn(run, {"tune": other.ref})
    assert reason
    assert reason.startswith("release 3 with this embedder was rolled back from on ")


def test_a_whole_chain_leaves_a_table_that_was_rolled_back_from(
    store: Store, first: Release, embedder: Artifact, tables: list[Artifact]
) -> None:
    """One whose embedder is the released one is not even tried."""
    run: Any = SimpleNamespace(workspace=store.workspace)
    config = PipelineConfig()
    always = PipelineConfig.model_validate({"release": {"publish": "always"}})
    made: list[Any] = [{"tune": embedder.ref, "export": each.ref} for each in tables]
    publish_table(store.workspace, first, tables[1].ref, print)
    assert reasons_to_refuse(run, made[1], config, current(store.workspace)) == []
    roll_back(store.workspace)
    [reason] = reasons_to_refuse(run, made[1], config, first)
    assert reason.startswith("release 2 with this table was rolled back from on ")
    assert reasons_to_refuse(run, made[1], always, first) == []
    assert reasons_to_refuse(run, made[2], config, first) == []
    assert reasons_to_refuse(run, made[0], config, first) == []


def test_who_loses_the_race_is_told_to_run_again(
    store: Store, first: Release, embedder: Artifact, tables: list[Artifact]
) -> None:
    publish(store.workspace, embedder=embedder.ref, export=tables[1].ref)
    with pytest.raises(CorpusmithError, match=r"release 2 became current.*run refresh again") as it:
        publish_table(store.workspace, first, tables[2].ref, print)
    assert not isinstance(it.value, RequestError)


def test_the_champion_is_named_after_the_first_release_of_the_embedder(
    store: Store, first: Release, tables: list[Artifact]
) -> None:
    second = publish_table(store.workspace, first, tables[1].ref, print)
    assert champion_of(store.workspace, second) == first.registered_as
    assert champion_of(store.workspace, first) == first.registered_as


def test_a_chain_that_was_killed_is_gone_on_with_on_any_night(store: Store) -> None:
    """Its own start is nothing to wait for; on a night with drift the reasons are tonight's."""
    run: Any = SimpleNamespace(workspace=store.workspace)
    config = PipelineConfig()
    assert _proposal([], config, run) is None
    proposal = {"reasons": ["masked_loss +2"], "started": True, "refused": None}
    night = ended(begun("a", "refresh") | {"proposal": proposal}, "completed")
    store.workspace.write_run("a", night)
    store.workspace.write_run("b", ended(begun("b", "pipeline") | {"until": None}, "stopped"))
    quiet, drifted = _proposal([], config, run), _proposal(["bytes +1"], config, run)
    assert quiet
    assert drifted
    assert quiet["reasons"] == ["masked_loss +2"]
    assert drifted["reasons"] == ["bytes +1"]
