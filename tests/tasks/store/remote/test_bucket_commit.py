"""In a bucket the manifest is the commit: it is there with all that it names, or not at all."""

import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from model.errors import ArtifactError
from tasks.store import staging as staging_module
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.errors import NondeterminismError
from tasks.store.lookup import Lookup
from tasks.store.manifest import Manifest
from tasks.store.publication import publish_folder
from tasks.store.remote.s3_objects import S3Objects
from tests.bucket_fixtures import Shared
from tests.tasks.store.making import FILES, flip_bit, identity_of, make, new_store

IDENTITY = identity_of(k=1)


def test_what_one_machine_commits_another_reads_and_it_is_the_same_as_in_a_folder(
    shared: Shared, tmp_path: Path
) -> None:
    made = make(shared.open("one"), IDENTITY)
    assert made.ref == make(new_store(tmp_path / "local"), IDENTITY).ref
    other = shared.open("two")
    found = other.find(IDENTITY, {})
    assert found
    assert found.ref == made.ref
    assert not found.path.exists(), "nothing is fetched before it is read from"
    read = other.resolve(made.ref)
    assert read.path != made.path
    assert {name: (read.path / name).read_bytes() for name in FILES} == FILES
    assert (read.path / "a.txt").stat().st_mode & 0o222 == 0
    assert other.verify_all() == []
    assert shared.warnings == []


def test_nothing_is_fetched_twice(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(shared.open("one"), IDENTITY)
    store = shared.open("two")
    store.resolve(made.ref)
    monkeypatch.setattr("tasks.store.remote.transfers._stream", lambda *_: pytest.fail("fetched"))
    assert store.resolve(made.ref).ref == made.ref
    assert shared.open("one").resolve(made.ref).ref == made.ref, "the maker keeps its own"


def test_a_damaged_copy_is_mended_file_by_file(shared: Shared) -> None:
    made = make(shared.open("one"), IDENTITY)
    store = shared.open("two")
    copy = store.resolve(made.ref)
    kept = (copy.path / "deep/er/b.bin").stat().st_ino
    flip_bit(copy.path / "a.txt")
    (copy.path / "extra").write_text("mine")
    again = store.resolve(made.ref)
    assert (again.path / "a.txt").read_bytes() == FILES["a.txt"]
    assert not (again.path / "extra").exists()
    assert (again.path / "deep/er/b.bin").stat().st_ino == kept
    assert shared.warnings == []


def lose_the_race(monkeypatch: pytest.MonkeyPatch, shared: Shared, winner: bytes) -> None:
    """Another machine commits `winner` between this one's last look and its manifest."""

    def late(
        lookup: Lookup, folder: Path, manifest: Manifest, inputs: Mapping[str, ArtifactRef]
    ) -> Artifact:
        monkeypatch.undo()
        elsewhere = shared.open("faster")
        lease = elsewhere._lookup.seat("vocab", IDENTITY.input_id)
        shared.objects.delete([lease._key])
        make(elsewhere, IDENTITY, files={"a": winner})
        return publish_folder(lookup, folder, manifest, inputs)

    monkeypatch.setattr(staging_module, "publish_folder", late)


def test_the_loser_of_a_race_adopts_an_equal_winner(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        store = shared.open("slow")
        lose_the_race(patch, shared, b"same")
        artifact = make(store, IDENTITY, files={"a": b"same"})
    assert artifact.path.is_relative_to(store.workspace.path)
    assert artifact.file("a").read_bytes() == b"same"
    assert not list(store.workspace.staging.glob("*/*"))
    assert len(shared.names(f"artifacts/vocab/{IDENTITY.input_id}/")) == 2


def test_another_result_of_the_same_request_is_refused(shared: Shared) -> None:
    with pytest.MonkeyPatch.context() as patch:
        store = shared.open("slow")
        lose_the_race(patch, shared, b"theirs")
        with pytest.raises(NondeterminismError, match=r"another a \(1 files differ\)"):
            make(store, IDENTITY, files={"a": b"mine"})
    found = store.find(IDENTITY, {})
    assert found
    assert store.resolve(found.ref).file("a").read_bytes() == b"theirs"


def killed_before(nth: int, ending: str, work: Callable[[], object]) -> bool:
    """Do `work` in a forked process that dies before its `nth` write of a key of that ending."""
    child = os.fork()
    if child == 0:
        seen = 0
        call = BaseClient._make_api_call

        def counting(self: Any, operation: str, arguments: Any) -> Any:
            nonlocal seen
            seen += operation == "PutObject" and arguments["Key"].endswith(ending)
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(self, operation, arguments)

        BaseClient._make_api_call = counting
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_before_the_manifest_nothing_is_seen_and_what_was_sent_is_not_sent_again(
    shared: Shared,
) -> None:
    reader = shared.open("reader")
    for number, ending in enumerate(("/a.txt", "/b.bin", "/MANIFEST.json")):
        store = shared.open(f"machine {number}")
        assert killed_before(1, ending, partial(make, store, IDENTITY))
        assert reader.find(IDENTITY, {}) is None
        assert list(reader.artifacts()) == []
        assert reader.verify_all() == []
    assert len(shared.names("artifacts/")) == len(FILES)
    sent: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Objects, "upload", lambda _, key, *__: sent.append(key))
        made = make(shared.open("last"), IDENTITY)
    assert sent == []
    assert reader.resolve(made.ref).ref == made.ref
    assert shared.warnings == [], "a kill is no damage"


@pytest.mark.parametrize("content", [b"firsT\n", b"short", None])
def test_what_is_damaged_in_the_bucket_is_named_set_aside_and_made_again(
    shared: Shared, content: bytes | None
) -> None:
    made = make(shared.open("one"), IDENTITY)
    [key] = [key for key in shared.names("artifacts/") if key.endswith("/a.txt")]
    if content is None:
        shared.objects.delete([key])
    else:
        shared.overwrite(key, content)
    store = shared.open("two")
    [problem] = store.verify_all()
    assert problem.startswith(f"{made.ref.path}: a.txt ")
    with pytest.raises(ArtifactError, match=r"a\.txt .*; run vocab again"):
        store.resolve(made.ref)
    assert store.find(IDENTITY, {}) is None
    [warning] = shared.warnings
    assert "set aside in quarantine/vocab/" in warning
    assert len(shared.names("quarantine/")) == 2
    assert make(store, IDENTITY).ref == made.ref
    assert store.verify_all() == []


def test_a_damaged_manifest_is_set_aside_and_a_lost_one_is_not_there(shared: Shared) -> None:
    made = make(shared.open("one"), IDENTITY)
    shared.overwrite(f"{made.ref.path}/MANIFEST.json", b'{"format_version": 1' + b" " * 2_000)
    store = shared.open("two")
    assert store.find(IDENTITY, {}) is None
    assert "truncated or damaged" in shared.warnings[0]
    again = make(store, IDENTITY)
    assert again.ref == made.ref
    shared.objects.delete([f"{made.ref.path}/MANIFEST.json"])
    assert store.find(IDENTITY, {}) is None
    with pytest.raises(ArtifactError, match="never finished"):
        store.get("vocab", IDENTITY.input_id)


def test_made_from_other_inputs_it_is_made_again(shared: Shared) -> None:
    store = shared.open("one")
    upstream = make(store, identity_of("ingest"), files={"x": b"1"})
    inputs = {"ingest": upstream}
    identity = identity_of("vocab", inputs)
    make(store, identity, inputs=inputs)
    changed = upstream.ref.model_copy(update={"content_id": "0" * 32})
    assert store.find(identity, {"ingest": changed}) is None
    assert "made from another ingest" in shared.warnings[0]
