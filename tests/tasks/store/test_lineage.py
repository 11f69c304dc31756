"""From any file the chain leads back to the source files, and says where it is broken."""

import os
import shutil
from pathlib import Path

import pytest

from model.errors import ArtifactError, RequestError
from tasks.store.artifact import Artifact
from tasks.store.identity import Identity
from tasks.store.store import Store
from tests.tasks.store.making import identity_of, make

SOURCES = [["a.txt", "0" * 64]]


@pytest.fixture
def made(store: Store) -> dict[str, Artifact]:
    ingest = Identity(stage="ingest", version=1, settings={}, inputs={}, sources=SOURCES)
    made = {"ingest": make(store, ingest)}
    for stage, upstream in {"vocab": ["ingest"], "export": ["ingest", "vocab"]}.items():
        inputs = {name: made[name] for name in upstream}
        made[stage] = make(store, identity_of(stage, inputs), inputs=inputs)
    return made


def stages(store: Store, path: Path) -> list[str]:
    return [link["stage"] for link in store.lineage(path)]


def test_the_chain_names_each_artifact_once_down_to_the_sources(
    store: Store, made: dict[str, Artifact]
) -> None:
    chain = store.lineage(made["export"].file("deep/er/b.bin"))
    assert [link["stage"] for link in chain] == ["export", "ingest", "vocab"]
    for link in chain:
        ref = made[link["stage"]].ref
        assert (link["input_id"], link["content_id"], link["path"]) == (
            ref.input_id,
            ref.content_id,
            ref.path,
        )
        assert link["present"]
    assert chain[0]["inputs"] == {name: made[name].ref.input_id for name in ("ingest", "vocab")}
    assert [link.get("sources") for link in chain] == [None, SOURCES, None]


def test_it_starts_anywhere(store: Store, made: dict[str, Artifact], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made["vocab"].path, target_is_directory=True)
    for path in (
        made["vocab"].path,
        made["vocab"].path / "MANIFEST.json",
        tmp_path / "link" / "a.txt",
        Path(made["vocab"].ref.path),
        Path(os.path.relpath(made["vocab"].file("a.txt"))),
    ):
        assert stages(store, path) == ["vocab", "ingest"]


def test_what_was_deleted_or_replaced_is_named_as_absent(
    store: Store, made: dict[str, Artifact]
) -> None:
    shutil.rmtree(made["vocab"].path)
    chain = {link["stage"]: link for link in store.lineage(made["export"].path)}
    assert not chain["vocab"]["present"]
    assert chain["vocab"]["content_id"] == made["vocab"].ref.content_id
    assert chain["ingest"]["present"]
    identity = made["vocab"].manifest.identity
    make(store, identity, inputs={"ingest": made["ingest"]}, files={"a": b"other"})
    chain = {link["stage"]: link for link in store.lineage(made["export"].path)}
    assert not chain["vocab"]["present"]


def test_paths_outside_are_refused(store: Store, made: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        store.lineage(tmp_path / "nothing")
    for path in (tmp_path, store.workspace.artifacts, store.workspace.artifacts / "vocab"):
        with pytest.raises(RequestError, match="lies in no artifact"):
            store.lineage(path)
    (made["vocab"].path / "MANIFEST.json").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        store.lineage(made["vocab"].path)
