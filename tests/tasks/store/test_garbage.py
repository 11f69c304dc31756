"""Only what nothing refers to goes, only when asked, and never below work in progress."""

import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactError
from tasks.store.artifact import Artifact
from tasks.store.garbage import delete, find_garbage
from tasks.store.lookup import Lookup
from tasks.store.run_records import begun, ended
from tasks.store.store import Store
from tasks.store.verification import Memory
from tests.faults.changes import begun_apart
from tests.tasks.store.making import Listener, flip_bit, identity_of, killed_at_change, make
from tests.tasks.store.test_lease import seen_by_a_stranger


def recorded(store: Store, run_id: str, *artifacts: Artifact, age_s: float = 0) -> None:
    refs = {
        each.ref.stage: each.ref.model_dump(include={"input_id", "content_id", "path"})
        for each in artifacts
    }
    path = store.workspace.write_run(run_id, {"run_id": run_id, "artifacts": refs})
    os.utime(path, (time.time() - age_s,) * 2)


def chain(store: Store, **settings: Any) -> tuple[Artifact, Artifact]:
    upstream = make(store, identity_of("ingest", **settings))
    inputs = {"ingest": upstream}
    return upstream, make(store, identity_of("vocab", inputs), inputs=inputs)


def collected(store: Store, **options: Any) -> set[Path]:
    return {path for path, _ in store.collect_garbage(**{"older_than_days": 0.0} | options)}


def test_what_the_newest_run_used_stays_with_all_it_was_made_from(store: Store) -> None:
    old_upstream, old = chain(store, k=1)
    _, new = chain(store, k=2)
    recorded(store, "first", old, age_s=100)
    recorded(store, "second", new)
    assert collected(store) == {old_upstream.path, old.path}
    assert old.path.exists(), "a dry run is the default"
    assert collected(store, dry_run=False) == {old_upstream.path, old.path}
    assert list(store.artifacts()) == [
        store.get("ingest", new.manifest.identity.inputs["ingest"]),
        new,
    ]
    assert collected(store) == set()
    assert not list(store.workspace.staging.rglob("*.txt"))


def test_records_may_list_references_too(store: Store) -> None:
    artifact = make(store, identity_of())
    store.workspace.write_run("run", {"artifacts": [artifact.ref.model_dump()]})
    assert collected(store) == set()


def refreshed(store: Store, run_id: str, age_s: float, *made: Artifact, **record: Any) -> None:
    refs = {each.ref.stage: each.ref.model_dump() for each in made}
    written = ended(begun(run_id, "refresh"), "completed") | {"artifacts": refs} | record
    path = store.workspace.write_run(run_id, written)
    os.utime(path, (time.time() - age_s,) * 2)


def test_of_refreshes_the_newest_that_published_counts_and_the_chain_before(store: Store) -> None:
    """Otherwise a workspace that is refreshed every night keeps the table of every night."""
    upstream, chain_made = chain(store, k=1)
    nights = [make(store, identity_of("export", night=night)) for night in range(4)]
    recorded(store, "chain", chain_made, age_s=500)
    refreshed(store, "first", 400, nights[0], published=True)
    refreshed(store, "killed", 300, nights[1], state="running", published=False)
    refreshed(store, "second", 200, nights[2], published=True)
    refreshed(store, "quiet", 100, nights[3], published=False)
    assert collected(store, keep_releases=0) == {nights[0].path, nights[1].path}
    refreshed(store, "third", 50, published=True)
    assert collected(store, keep_releases=0) == {each.path for each in nights}
    assert upstream.path.exists()


def test_the_corpus_that_drift_was_judged_on_last_stays(store: Store) -> None:
    """However many nights bring too few documents to judge, and whatever was refused since."""
    corpora = [make(store, identity_of("ingest", night=night)) for night in range(4)]
    told = {"drift": {"measures": [{"measure": "masked_loss", "value": 2.0}]}, "published": True}
    few = {"drift": {"measures": []}, "published": True}
    refreshed(store, "before", 500, corpora[0], **told)
    refreshed(store, "judged", 400, corpora[1], **told)
    refused = {"flow": "pipeline", "until": None, "refused": {"against": 1, "reasons": ["no"]}}
    refreshed(store, "chain", 300, corpora[2], **refused)
    refreshed(store, "few", 200, corpora[2], **few)
    refreshed(store, "fewer", 100, corpora[3], **few)
    assert collected(store, keep_releases=0) == {corpora[0].path}
    refreshed(store, "trained", 50, corpora[3], flow="pipeline", until=None, release={"id": 2})
    assert collected(store, keep_releases=0) == {each.path for each in corpora[:3]}


def test_the_lease_goes_with_the_last_of_its_request(store: Store) -> None:
    """Or a workspace that is refreshed every night keeps one for each artifact there ever was."""
    identity = identity_of(k=1)
    first = make(store, identity)
    place = store.workspace.leases / "vocab" / first.ref.input_id
    assert place.is_dir()
    assert collected(store, dry_run=False) == {first.path}
    assert not place.exists()
    assert make(store, identity).ref == first.ref
    assert [path.name for path in place.iterdir()] == ["000001.json"]


def test_bytes_are_those_of_the_files(store: Store) -> None:
    artifact = make(store, identity_of())
    ((path, size),) = store.collect_garbage(older_than_days=0)
    assert path == artifact.path
    assert size == sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def test_the_young_stay(store: Store) -> None:
    make(store, identity_of())
    assert collected(store, older_than_days=0.1) == set()


def test_nothing_is_certain_without_the_records(store: Store) -> None:
    artifact = make(store, identity_of())
    store.workspace.current_release.write_text("{")
    with pytest.raises(ArtifactError, match="nothing is deleted"):
        collected(store, dry_run=False)
    store.workspace.current_release.unlink()
    (store.workspace.path / "runs" / "bad.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"bad\.json"):
        collected(store, dry_run=False)
    assert artifact.path.exists()


def test_while_any_work_goes_on_artifacts_stay(store: Store) -> None:
    artifact = make(store, identity_of(k=1))
    with store.lease("pretrain", "0" * 32):
        assert collected(store, dry_run=False) == set()
    assert artifact.path.exists()
    assert collected(store, dry_run=False) == {artifact.path}


def test_staging_goes_unless_someone_may_be_at_work(store: Store) -> None:
    identity = identity_of(k=1)
    assert killed_at_change(12, store.workspace.path, lambda: make(store, identity))
    (attempt,) = store.workspace.staging.glob("vocab/*/*")
    with store.lease("vocab", identity.input_id):
        assert collected(store, dry_run=False) == set()
    assert collected(store) == {attempt}
    leases = store.workspace.leases / "vocab" / identity.input_id
    stranger = seen_by_a_stranger(leases, fence=99)
    assert collected(store, dry_run=False) == set()
    stranger.unlink()
    assert collected(store, dry_run=False) == {attempt}
    assert not attempt.exists()


def test_who_began_since_the_search_keeps_the_folder(store: Store) -> None:
    identity = identity_of(k=1)
    artifact = make(store, identity)
    lookup = Lookup(store.workspace, Listener().append, Memory())
    (garbage,) = find_garbage(lookup, older_than_days=0)
    with store.lease("vocab", identity.input_id):
        assert not delete(lookup, garbage)
    assert artifact.path.exists()
    assert delete(lookup, garbage)
    assert not artifact.path.exists()


def test_what_was_set_aside_goes_when_it_is_old(store: Store) -> None:
    artifact = make(store, identity_of())
    recorded(store, "run", artifact)
    flip_bit(artifact.file("a.txt"))
    make(store, identity_of())
    (aside,) = (path for path in store.workspace.quarantine.glob("*/*") if path.is_dir())
    assert collected(store, older_than_days=1) == set()
    reason = aside.with_name(f"{aside.name}.reason.json")
    os.utime(reason, (time.time() - 90_000,) * 2)
    assert collected(store, older_than_days=1, dry_run=False) == {aside}
    assert not list(store.workspace.quarantine.rglob("*.json"))


def test_killed_while_deleting_nothing_half_is_found_under_its_name(store: Store) -> None:
    warnings_before = store.verify_all()
    for number in range(1, 30):
        artifact = make(store, identity_of(k=1))
        if not killed_at_change(
            number,
            store.workspace.path,
            lambda: store.collect_garbage(dry_run=False, older_than_days=0),
        ):
            break
        assert store.verify_all() == warnings_before == []
    assert number > 5
    assert not artifact.path.exists()
    assert not list(store.workspace.staging.rglob("*.txt")), "it clears what the killed ones left"


def released(store: Store, number: int, artifact: Artifact) -> None:
    text = json.dumps({"id": number, "export": artifact.ref.model_dump()})
    folder = store.workspace.published / "releases"
    folder.mkdir(exist_ok=True)
    (folder / f"{number:06d}.json").write_text(text)
    store.workspace.current_release.write_text(text)


def test_the_newest_releases_keep_what_they_need_and_the_current_one_always(store: Store) -> None:
    chains = [chain(store, k=number) for number in range(1, 5)]
    for number, (_, export) in enumerate(chains, start=1):
        released(store, number, export)
    assert collected(store) == {each.path for each in chains[0]}
    assert collected(store, keep_releases=2) == {each.path for pair in chains[:2] for each in pair}
    released(store, 1, chains[0][1])  # gone back to
    assert collected(store, keep_releases=0, dry_run=False) == {
        each.path for pair in chains[1:] for each in pair
    }
    assert all(each.path.exists() for each in chains[0])


def test_a_run_that_failed_keeps_what_it_made_and_what_the_one_before_used(store: Store) -> None:
    _, whole = chain(store, k=1)
    _, partial = chain(store, k=2)
    recorded(store, "whole", whole, age_s=100)
    refs = [partial.ref.model_dump()]
    store.workspace.write_run("failed", {"state": "failed", "artifacts": refs})
    assert collected(store) == set()


def test_nothing_goes_between_two_stages_of_a_run_at_work(store: Store) -> None:
    artifact = make(store, identity_of(k=1))
    record = begun("at-work", "pipeline")
    store.workspace.write_run("at-work", record)
    assert collected(store) == set()
    store.workspace.write_run("at-work", ended(record, "stopped"))
    assert collected(store) == {artifact.path}


NUM_ROUNDS, NUM_FOLDERS = 5, 12


def collect_and_tell(store: Store, told: Path) -> None:
    """All garbage, in a process of its own: the names of what it deleted."""
    told.write_text("\n".join(str(path) for path in collected(store, dry_run=False)))


def test_two_that_collect_at_once_delete_everything_once(store: Store, tmp_path: Path) -> None:
    """Work that was left, trash of a killed deletion, and what was set aside, of either."""
    workspace = store.workspace
    for _ in range(NUM_ROUNDS):
        for number in range(NUM_FOLDERS):
            for place in (
                workspace.staging / "vocab" / f"{number:032x}" / "000001-aa",
                workspace.staging / ".trash" / f"{number:012x}",
                workspace.quarantine / "vocab" / f"{number:032x}",
            ):
                (place / "deep").mkdir(parents=True)
                (place / "deep" / "file").write_text("x")
        tolds = [tmp_path / "told-1", tmp_path / "told-2"]
        racers = [begun_apart(partial(collect_and_tell, store, told), tmp_path) for told in tolds]
        assert [os.waitpid(racer, 0)[1] for racer in racers] == [0, 0]
        assert not [path for path in workspace.staging.rglob("*") if path.is_file()]
        assert not [path for path in workspace.quarantine.rglob("*") if path.is_file()]
        left = [line for told in tolds for line in told.read_text().split("\n") if line]
        ours = [line for line in left if "/.trash/" not in line]
        assert len(ours) == len(set(ours)) == 2 * NUM_FOLDERS
