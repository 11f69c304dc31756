"""Releases, records and lineage of a workspace in a bucket, as every machine sees them."""

import threading
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactError, RequestError
from tasks.named_artifacts import named_artifacts
from tasks.release.pointer import (
    current,
    flaws_of_current,
    history,
    publish,
    releases,
    roll_back,
)
from tasks.release.release import Release
from tasks.release.shelf import BucketShelf
from tasks.store.artifact import Artifact
from tasks.store.store import Store
from tests.bucket_fixtures import Shared
from tests.tasks.store.making import identity_of, make

Pair = tuple[Artifact, Artifact]


def pair_of(store: Store, k: int) -> Pair:
    corpus = make(store, identity_of("ingest"))
    embedder = make(store, identity_of("tune", k=k), files={"weights": bytes([k])})
    inputs = {"ingest": corpus, "tune": embedder}
    files = {"part-00000.parquet": b"vectors of %d" % k}
    return embedder, make(store, identity_of("export", inputs), inputs=inputs, files=files)


def published(store: Store, pair: Pair, **options: Any) -> Release:
    embedder, export = (each.ref for each in pair)
    return publish(store.workspace, embedder=embedder, export=export, **options)


def test_what_one_machine_publishes_all_see(shared: Shared) -> None:
    one = shared.open("one")
    assert current(one.workspace) is None
    first = published(one, pair_of(one, 1))
    second = published(one, pair_of(one, 2))
    again = published(one, pair_of(one, 1))
    assert [first.id, second.id, again.id] == [1, 2, 1]
    two = shared.open("two")
    assert current(two.workspace) == first
    assert [each.id for each in releases(two.workspace)] == [2, 1]
    assert flaws_of_current(two.workspace) == []
    folder = two.folder_of(first.export)
    assert (folder / "part-00000.parquet").read_bytes() == b"vectors of 1"
    with pytest.raises(RequestError, match="release 2 was expected to be current, it is release 1"):
        published(two, pair_of(two, 2), expected=second)


def test_of_two_publishers_at_once_none_overwrites_what_it_has_not_seen(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [shared.open("one"), shared.open("two")]
    pairs = [pair_of(store, k) for k, store in enumerate(stores)]
    met = threading.Barrier(2)
    switched: list[tuple[int, bool]] = []
    switch = BucketShelf.switch

    def together(self: BucketShelf, release: Release, tag: str) -> bool:
        if len(switched) < 2:
            met.wait(20)  # both have read the same pointer
        done = switch(self, release, tag)
        switched.append((release.id, done))
        return done

    monkeypatch.setattr(BucketShelf, "switch", together)
    threads = [
        threading.Thread(target=published, args=each) for each in zip(stores, pairs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done for _, done in switched) == [False, True, True]
    assert switched[-1][1]
    last = current(stores[0].workspace)
    assert last
    assert last.id == switched[-1][0]
    real = history(stores[0].workspace)  # of three that were written
    assert [each.before for each in real] == [None, real[0].release]
    assert real[1].release == last.id
    assert sorted(each.id for each in releases(stores[0].workspace)) == [1, 2]


def test_who_expects_the_old_release_is_refused_when_it_loses(shared: Shared) -> None:
    store = shared.open("one")
    first = published(store, pair_of(store, 1))
    shelf = BucketShelf(store.workspace.bucket)
    _, tag = shelf.current()
    second = published(store, pair_of(store, 2))
    assert not shelf.switch(first, tag)
    assert current(store.workspace) == second


def test_one_machine_goes_back_from_what_another_published(shared: Shared) -> None:
    one, two = shared.open("one"), shared.open("two")
    first = published(one, pair_of(one, 1))
    published(one, pair_of(one, 2))
    assert roll_back(two.workspace) == first
    assert current(one.workspace) == first
    told = [(each.number, each.kind, each.release) for each in history(one.workspace)]
    assert told == [(1, "published", 1), (2, "published", 2), (3, "rolled_back", 1)]
    key = f"artifacts/export/{first.export.input_id}/data/"
    [name] = [name for name in shared.names(key) if name.endswith(".parquet")]
    roll_back(two.workspace, 2)
    shared.overwrite(name, b"vectors of 7")
    with pytest.raises(ArtifactError, match="release 1 cannot be gone back to"):
        roll_back(two.workspace)
    assert [each.number for each in history(two.workspace)] == [1, 2, 3, 4]


def test_a_setting_may_name_an_artifact_of_a_bucket(shared: Shared) -> None:
    made = make(shared.open("one"), identity_of("tune"))
    shared.open("two")
    asked = {"stage": "tune", "what": "embedder", "setting": "evaluate.compare_with"}
    url = f"{shared.url}/{made.ref.path}"
    [(name, found)] = named_artifacts([url], **asked).items()
    assert name == f"other_{made.ref.input_id[:8]}"
    assert found.store.resolve(found.artifact.ref).path.is_dir()
    for wrong in (f"{url}0", shared.url):
        with pytest.raises(RequestError, match=r"evaluate\.compare_with: s3://.* is no embedder"):
            named_artifacts([wrong], **asked)


def test_records_of_runs_are_seen_everywhere_oldest_first(shared: Shared) -> None:
    one, two = shared.open("one").workspace, shared.open("two").workspace
    one.write_run("b", {"run_id": "b", "state": "running"})
    two.write_run("a", {"run_id": "a"})
    card = one.write_run_file("b", "model_card.md", b"# card")
    one.write_run("b", {"run_id": "b", "state": "completed"})
    assert card.read_bytes() == b"# card"
    for workspace in (one, two):
        assert {record["run_id"]: record.get("state") for record in workspace.runs()} == {
            "a": None,
            "b": "completed",
        }


def test_lineage_reads_manifests_and_takes_any_name_of_a_file(shared: Shared) -> None:
    maker = shared.open("one")
    pair = pair_of(maker, 1)
    published(maker, pair)
    store = shared.open("two")
    path = pair[1].ref.path
    [data] = [key for key in shared.names(f"{path}/data/")]
    for name in (
        path,
        f"{path}/part-00000.parquet",
        f"{shared.url}/{data}",
        str(store.workspace.path / path),
        "published/embeddings/part-00000.parquet",
    ):
        chain = store.lineage(Path(name))
        assert [link["stage"] for link in chain] == ["export", "ingest", "tune"]
        assert all(link["present"] for link in chain)
    assert not list(store.workspace.artifacts.iterdir()), "no file was fetched"
    for wrong, message in (
        (f"{path}/other.parquet", "no file of that name"),
        ("artifacts/export/" + "0" * 32, "does not exist"),
        ("runs/x.json", "lies in no artifact"),
    ):
        with pytest.raises(RequestError, match=message):
            store.lineage(Path(wrong))
