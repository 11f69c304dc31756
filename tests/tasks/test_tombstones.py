"""What is remembered of erased documents: read whole, or not at all."""

import json
from pathlib import Path

import pytest

from model.errors import ArtifactError
from tasks.store.workspace import Workspace
from tasks.tombstones import erased_folder, read_tombstones, tombstone_of


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "workspace")


def keep(workspace: Workspace, name: str, text: str) -> None:
    path = erased_folder(workspace) / "tombstones" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def test_of_all_files_together(workspace: Workspace) -> None:
    assert read_tombstones(workspace) == tombstone_of([], [])
    first, second = tombstone_of(["a"], [b"\x01"]), tombstone_of(["b"], [])
    for number, stone in enumerate((first, second)):
        values = {"doc_ids": sorted(stone.doc_ids), "contents": sorted(stone.contents)}
        keep(workspace, f"{number}.json", json.dumps(values))
    assert read_tombstones(workspace) == tombstone_of(["a", "b"], [b"\x01"])


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", '{"doc_ids": []}', '{"doc_ids": "all", "contents": []}'),
        *('{"doc_ids": [[]], "contents": []}', '{"doc_ids": [], "contents": [{}, 7]}'),
    ],
)
def test_a_damaged_one_is_named(workspace: Workspace, text: str) -> None:
    keep(workspace, "1.json", text)
    with pytest.raises(ArtifactError, match=r"1\.json is damaged, so it is not known what was"):
        read_tombstones(workspace)
