"""Files of an artifact that an erasure rewrote: its name stays, and damage is still found."""

import re
import shutil
from pathlib import Path

import pytest

from model.errors import ArtifactError
from tasks.store.artifact import Artifact
from tasks.store.erased import ERASED_NAME, Erasure, read_erased, render_erased
from tasks.store.errors import FormatError
from tasks.store.rewriting import finish_pending, put_in_place, scratch_of
from tasks.store.store import Store
from tests.tasks.store.making import FILES, identity_of, make, new_store, overwrite, write_files

WHEN = "2026-01-01T00:00:00+00:00"
ERASURE = Erasure(erased_at=WHEN, num_documents=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return make(store, identity_of())


def rewrite(
    store: Store, artifact: Artifact, content: bytes = b"other\n", name: str = "a.txt"
) -> None:
    write_files(scratch_of(store.workspace, artifact), {name: content})
    put_in_place(store.workspace, artifact, "1", ERASURE)


def test_it_keeps_its_name_and_is_whole(store: Store, artifact: Artifact) -> None:
    rewrite(store, artifact)
    assert store.verify_all() == []
    assert store.resolve(artifact.ref).ref == artifact.ref
    assert (artifact.path / "a.txt").read_bytes() == b"other\n"
    erased = read_erased(artifact.path)
    assert erased
    assert (erased.is_pending, erased.erasures["1"].files) == (False, ("a.txt",))
    assert not list(store.workspace.staging.rglob("*.txt"))


def test_the_old_content_is_damage_from_then_on(store: Store, artifact: Artifact) -> None:
    rewrite(store, artifact)
    overwrite(artifact.path / "a.txt", FILES["a.txt"])
    assert store.verify_all() == [
        f"{artifact.ref.path}: a.txt has other content than was committed"
    ]
    overwrite(artifact.path / "a.txt", b"other\n")
    overwrite(artifact.path / "empty", b"!")
    assert store.verify_all() == [f"{artifact.ref.path}: empty has 1 bytes instead of 0"]


def test_a_second_erasure_adds_to_the_first(store: Store, artifact: Artifact) -> None:
    rewrite(store, artifact)
    write_files(scratch_of(store.workspace, artifact), {"empty": b"now it is not"})
    learned = ERASURE.model_copy(update={"learned": True})
    put_in_place(store.workspace, artifact, "2", learned)
    assert store.verify_all() == []
    erased = read_erased(artifact.path)
    assert erased
    assert (sorted(erased.files), erased.num_documents) == (["a.txt", "empty"], 2)
    assert erased.has_learned


def test_what_was_decided_is_ended_by_the_next(
    store: Store, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tasks.store.rewriting._finish", lambda *_: None)  # as if killed here
        rewrite(store, artifact)
    assert store.verify_all() == []
    assert store.erased([artifact])[0]["is_pending"]
    finish_pending(store.workspace)
    assert (artifact.path / "a.txt").read_bytes() == b"other\n"
    assert store.verify_all() == []
    assert not store.erased([artifact])[0]["is_pending"]


def test_a_new_file_that_is_lost_is_told(
    store: Store, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tasks.store.rewriting._finish", lambda *_: None)
        rewrite(store, artifact)
    shutil.rmtree(store.workspace.staging / ".erasing")
    with pytest.raises(ArtifactError, match=r"a\.txt was to be rewritten"):
        finish_pending(store.workspace)
    assert store.verify_all() == []  # the old file is still whole


@pytest.mark.parametrize("is_missing", [False, True])
def test_of_a_lost_file_in_a_subfolder_the_artifact_is_named(
    store: Store, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, is_missing: bool
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tasks.store.rewriting._finish", lambda *_: None)
        rewrite(store, artifact, name="deep/er/b.bin")
    shutil.rmtree(store.workspace.staging / ".erasing")
    if is_missing:
        (artifact.path / "deep/er/b.bin").unlink()
    with pytest.raises(ArtifactError, match=f"delete {re.escape(str(artifact.path))} and erase"):
        finish_pending(store.workspace)


def test_a_mark_of_a_newer_version_sets_nothing_aside(store: Store, artifact: Artifact) -> None:
    rewrite(store, artifact)
    erased = read_erased(artifact.path)
    assert erased
    newer = render_erased(erased.model_copy(update={"format_version": 2}))
    overwrite(artifact.path / ERASED_NAME, newer)
    with pytest.raises(FormatError, match="update corpusmith"):
        store.find(artifact.manifest.identity, {})
    assert artifact.path.is_dir()
    assert not list(store.workspace.quarantine.glob("vocab/*"))


def test_a_mark_that_was_edited_is_damage(store: Store, artifact: Artifact) -> None:
    rewrite(store, artifact)
    path = artifact.path / ERASED_NAME
    path.write_text(path.read_text().replace('"num_documents": 1', '"num_documents": 2'))
    [problem] = store.verify_all()
    assert "its seal does not match" in problem
    assert store.find(artifact.manifest.identity, {}) is None  # set aside, to be made again
    assert list(store.workspace.quarantine.glob("vocab/*"))


def test_a_stage_cannot_write_such_a_mark(store: Store) -> None:
    with pytest.raises(ArtifactError, match="a name that the store keeps for itself"):
        make(store, identity_of(), files={ERASED_NAME: b"{}"})
