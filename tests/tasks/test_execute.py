"""One stage by itself: it works from exactly the artifacts it was handed, or not at all."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.errors import ArtifactError, RequestError
from tasks.execute import Outcome, execute
from tasks.settings import StageConfig
from tasks.stage import Stage, StageContext, map_in_order
from tasks.store import staging
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.manifest import render_manifest
from tasks.store.store import Store
from tests.tasks.chain import Listener
from tests.tasks.store.making import flip_bit, identity_of, make, new_store


def copy_first(context: StageContext) -> dict[str, float]:
    text = context.inputs["ingest"].file("a.txt").read_bytes()
    (context.output / "copy.txt").write_bytes(text)
    return {"size": float(len(text))}


STAGE = Stage(name="vocab", version=1, upstream=("ingest",), run=copy_first)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def upstream(store: Store) -> Artifact:
    return make(store, identity_of("ingest"))


def run(store: Store, ref: ArtifactRef, stage: Stage = STAGE) -> Outcome:
    return execute(
        stage,
        StageConfig(),
        {"ingest": ref},
        store=store,
        report=Listener(),
        map_shards=map_in_order,
    )


def test_it_runs_once_and_is_reused_after(store: Store, upstream: Artifact) -> None:
    first, second = run(store, upstream.ref), run(store, upstream.ref)
    assert (first.reused, second.reused) == (False, True)
    assert first.ref == second.ref
    assert first.metrics == second.metrics == {"size": 6.0}


def test_what_was_finished_by_a_process_that_died_is_not_done_again(
    store: Store, upstream: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(staging, "publish_folder", die)
        with pytest.raises(InterruptedError):
            run(store, upstream.ref)
    [made] = store.workspace.staging.glob("vocab/*/*/copy.txt")
    before = made.stat()
    outcome = run(store, upstream.ref)
    after = (store.workspace.path / outcome.ref.path / "copy.txt").stat()
    assert os.path.samestat(before, after)
    assert (outcome.reused, outcome.metrics) == (False, {"size": 6.0})


def test_what_was_deleted_by_hand_is_made_again(store: Store, upstream: Artifact) -> None:
    """Whatever was noted of it: only the artifact counts."""
    first = run(store, upstream.ref)
    shutil.rmtree(store.workspace.path / first.ref.path)
    for again in (store, Store(store.workspace)):  # also in the process that had it verified
        second = run(again, upstream.ref)
        assert (second.reused, second.ref) == (again is not store, first.ref)
        assert (store.workspace.path / second.ref.path / "copy.txt").is_file()


def list_found(context: StageContext) -> dict[str, float]:
    found = sorted(path.name for path in context.output.iterdir())
    for name in ("a", "b"):
        if name not in found:
            (context.output / name).write_text(name)
    return {"found": float(len(found))}


def test_of_a_damaged_artifact_the_whole_files_are_taken_over(
    store: Store, upstream: Artifact
) -> None:
    stage = replace(STAGE, run=list_found, goes_on_from=("a", "b"))
    first = run(store, upstream.ref, stage)
    place = store.workspace.path / first.ref.path
    before = (place / "a").stat()
    flip_bit(place / "b")
    second = run(store, upstream.ref, stage)
    assert (second.ref, second.metrics) == (first.ref, {"found": 1.0})
    assert os.path.samestat(before, (place / "a").stat())
    [damaged] = store.workspace.quarantine.glob("vocab/*/b")
    assert damaged.read_text() != "b"
    assert store.get("vocab", second.ref.input_id).manifest.information["resumed"]
    assert store.verify_all() == []


def test_of_a_stage_that_begins_anew_all_stays_in_quarantine(
    store: Store, upstream: Artifact
) -> None:
    stage = replace(STAGE, run=list_found)
    first = run(store, upstream.ref, stage)
    flip_bit(store.workspace.path / first.ref.path / "b")
    second = run(store, upstream.ref, stage)
    assert (second.ref, second.metrics) == (first.ref, {"found": 0.0})
    assert not store.get("vocab", second.ref.input_id).manifest.information["resumed"]
    [kept] = store.workspace.quarantine.glob("vocab/*/a")
    assert kept.read_text() == "a"


def test_nothing_is_taken_over_of_what_was_made_from_another_input(
    store: Store, upstream: Artifact
) -> None:
    stage = replace(STAGE, run=list_found, goes_on_from=("a", "b"))
    first = run(store, upstream.ref, stage)
    manifest = store.get("vocab", first.ref.input_id).manifest
    entry = manifest.inputs["ingest"].model_copy(update={"content_id": "0" * 32})
    replaced = manifest.model_copy(update={"inputs": {"ingest": entry}})
    path = store.workspace.path / first.ref.path / "MANIFEST.json"
    path.chmod(0o644)
    path.write_bytes(render_manifest(replaced))
    assert run(store, upstream.ref, stage).metrics == {"found": 0.0}


def test_another_version_of_a_stage_leaves_the_work_of_the_one_before_alone(
    store: Store, upstream: Artifact
) -> None:
    def fail(context: StageContext) -> dict[str, float]:
        (context.output / "half").write_text("of version 1")
        raise InterruptedError

    def look(context: StageContext) -> dict[str, float]:
        assert not list(context.output.iterdir())
        return copy_first(context)

    with pytest.raises(InterruptedError):
        run(store, upstream.ref, replace(STAGE, run=fail))
    outcome = run(store, upstream.ref, replace(STAGE, run=look, version=2))
    [left] = store.workspace.staging.glob("vocab/*/*/half")
    assert left.read_text() == "of version 1"
    assert left.parent.parent.name != outcome.ref.input_id


def erase_something(store: Store) -> None:
    """An erasure that begins and ends, as far as it is to be seen afterwards."""
    folder = store.workspace.path / "erased" / "tombstones"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text(json.dumps({"doc_ids": ["11"], "contents": []}))


@pytest.mark.parametrize("is_before_work", [True, False])
@pytest.mark.parametrize("heeds_erasures", [True, False])
def test_an_erasure_that_came_between_is_not_overlooked(
    store: Store, is_before_work: bool, heeds_erasures: bool
) -> None:
    """Hashing the sources, or waiting for a lease, may take longer than an erasure."""
    done: list[str] = []

    def hashed(config: StageConfig) -> list[tuple[str, str]]:
        if is_before_work and not done:
            erase_something(store)
            done.append("erasure")
        return [("a", "b")]

    def work(context: StageContext) -> dict[str, float]:
        done.append("work")
        (context.output / "a.txt").write_text("text")
        if "erasure" not in done:
            erase_something(store)
            done.append("erasure")
        return {}

    stage = Stage("vocab", 1, (), work, sources=hashed, heeds_erasures=heeds_erasures)

    def run_it() -> Outcome:
        return execute(
            stage,
            StageConfig(),
            {},
            store=store,
            report=Listener(),
            map_shards=map_in_order,
        )

    with pytest.raises(RequestError, match="vocab: documents were erased meanwhile: run it again"):
        run_it()
    assert ("work" in done) != is_before_work
    assert not list(store.workspace.artifacts.glob("vocab/*"))
    assert not run_it().reused


def flip(artifact: Artifact) -> ArtifactRef:
    flip_bit(artifact.file("a.txt"))
    return artifact.ref


def mistake(artifact: Artifact) -> ArtifactRef:
    return artifact.ref.model_copy(update={"content_id": "0" * 32})


def invent(artifact: Artifact) -> ArtifactRef:
    name = "1" * 32
    return artifact.ref.model_copy(update={"input_id": name, "path": f"artifacts/ingest/{name}"})


@pytest.mark.parametrize(
    ("change", "says"), [(flip, "a.txt has other content"), (mistake, "not 0000"), (invent, "1111")]
)
def test_what_is_not_as_referred_to_is_never_read(
    store: Store,
    upstream: Artifact,
    change: Callable[[Artifact], ArtifactRef],
    says: str,
) -> None:
    with pytest.raises(ArtifactError, match=says):
        run(store, change(upstream))
    assert not list(store.workspace.artifacts.glob("vocab/*"))
