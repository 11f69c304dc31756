"""An earlier release becomes current again, whole, whoever reads or dies meanwhile."""

import json
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from model.errors import ArtifactError, RequestError
from tasks.release import pointer
from tasks.release.pointer import current, history, publish, releases, roll_back
from tasks.release.release import Release
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.release.pairs import Pair, is_whole, published
from tests.tasks.store.making import flip_bit, killed_at_change


def told(workspace: Workspace) -> list[tuple[str, int | None, int]]:
    return [(each.kind, each.before, each.release) for each in history(workspace)]


def test_the_way_back_is_the_way_that_was_come(store: Store, pairs: list[Pair]) -> None:
    workspace = store.workspace
    for pair in pairs:
        published(workspace, pair)
    assert roll_back(workspace).id == 2
    assert (workspace.published / "embeddings").resolve() == pairs[1][1].path
    assert roll_back(workspace).id == 1
    assert [each.id for each in releases(workspace)] == [3, 2, 1]
    with pytest.raises(RequestError, match="no release came before release 1"):
        roll_back(workspace)
    assert roll_back(workspace, 3).id == 3
    assert roll_back(workspace, 3).id == 3  # already: nothing is written
    now = current(workspace)
    assert now
    assert now.id == 3
    assert is_whole(workspace, now)
    assert told(workspace) == [
        ("published", None, 1),
        ("published", 1, 2),
        ("published", 2, 3),
        ("rolled_back", 3, 2),
        ("rolled_back", 2, 1),
        ("rolled_back", 1, 3),
    ]


@pytest.mark.parametrize(("release_id", "is_refused"), [(None, True), (1, False)])
def test_what_is_published_while_it_looks_is_undone_only_by_who_named_a_release(
    store: Store,
    pairs: list[Pair],
    monkeypatch: pytest.MonkeyPatch,
    release_id: int | None,
    is_refused: bool,
) -> None:
    """Every byte of the target is read, which takes minutes."""
    workspace = store.workspace
    published(workspace, pairs[0])
    published(workspace, pairs[1])
    look = pointer._refuse_damaged

    def look_long(*target: Any) -> None:
        look(*target)
        published(workspace, pairs[2])

    monkeypatch.setattr(pointer, "_refuse_damaged", look_long)
    if is_refused:
        with pytest.raises(RequestError, match=r"release 2 was expected .* it is release 3"):
            roll_back(workspace, release_id)
        assert told(workspace)[-1] == ("published", 2, 3)
    else:
        assert roll_back(workspace, release_id).id == 1
        assert told(workspace)[-1] == ("rolled_back", 3, 1)


def test_nothing_to_go_back_to_is_refused(store: Store, pairs: list[Pair]) -> None:
    with pytest.raises(RequestError, match="nothing is published"):
        roll_back(store.workspace)
    with pytest.raises(RequestError, match="there was no release 7: none yet"):
        roll_back(store.workspace, 7)
    published(store.workspace, pairs[0])
    with pytest.raises(RequestError, match="there was no release 7: 1"):
        roll_back(store.workspace, 7)
    assert told(store.workspace) == [("published", None, 1)]


def gone(pair: Pair) -> None:
    shutil.rmtree(pair[1].path)


def damaged(pair: Pair) -> None:
    flip_bit(pair[1].path / "part-00000.parquet")


@pytest.mark.parametrize("harm", [gone, damaged])
def test_what_is_gone_or_damaged_is_not_gone_back_to(
    store: Store, pairs: list[Pair], harm: Callable[[Pair], None]
) -> None:
    published(store.workspace, pairs[0])
    published(store.workspace, pairs[1])
    harm(pairs[0])
    with pytest.raises(ArtifactError, match=r"release 1 cannot be gone back to: .*current stays"):
        roll_back(store.workspace)
    now = current(store.workspace)
    assert now
    assert now.id == 2
    assert told(store.workspace)[-1] == ("published", 1, 2)


def test_a_workspace_older_than_its_history_has_a_way_back(store: Store, pairs: list[Pair]) -> None:
    for pair in pairs:
        published(store.workspace, pair)
    shutil.rmtree(store.workspace.published / "switches")
    assert told(store.workspace) == []
    assert roll_back(store.workspace).id == 2
    assert roll_back(store.workspace).id == 1
    assert told(store.workspace) == [("rolled_back", 3, 2), ("rolled_back", 2, 1)]


def test_killed_at_any_moment_a_rollback_can_be_done_again(store: Store, pairs: list[Pair]) -> None:
    workspace = store.workspace
    published(workspace, pairs[0])
    published(workspace, pairs[1])
    kills = 0
    while killed_at_change(kills + 1, workspace.published, lambda: roll_back(workspace, 1)):
        kills += 1
        now = current(workspace)
        assert now
        assert is_whole(workspace, now)
        done = told(workspace)
        assert done[-1][2] == now.id
        assert all(one[2] == two[1] for one, two in pairwise(done))
        assert roll_back(workspace, 1).id == 1
        assert (workspace.published / "embeddings").resolve() == pairs[0][1].path
        assert roll_back(workspace, 2).id == 2
    assert kills >= 6


def test_a_reader_gets_one_whole_release_during_fifty_publications_and_rollbacks(
    store: Store, pairs: list[Pair]
) -> None:
    """The reader is this process; whoever resolves the link once reads one release."""
    workspace = store.workspace
    published(workspace, pairs[0])
    published(workspace, pairs[1])
    writer = os.fork()
    if writer == 0:
        _switch_fifty_times(workspace, pairs)
    seen: set[int] = set()
    reads = 0
    ended, status = os.waitpid(writer, os.WNOHANG)
    while not ended:
        release = current(workspace)
        assert release
        assert is_whole(workspace, release)
        folder = (workspace.published / "embeddings").resolve(strict=True)  # once
        number = int((folder / "part-00000.parquet").read_bytes().split()[-1])
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        assert folder == pairs[number][1].path
        assert manifest["content_id"] == pairs[number][1].ref.content_id
        seen.add(release.id)
        reads += 1
        ended, status = os.waitpid(writer, os.WNOHANG)
    assert status == 0
    assert reads > 50
    assert seen == {1, 2, 3}
    assert len(told(workspace)) == 52
    last = current(workspace)
    assert last
    assert (workspace.published / "embeddings").resolve() == workspace.path / last.export.path


def _switch_fifty_times(workspace: Workspace, pairs: list[Pair]) -> None:
    try:
        for number in range(25):
            published(workspace, pairs[2])
            roll_back(workspace, 1 + number % 2)
    except BaseException as error:
        os.write(2, f"writer: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def test_what_is_current_survives_the_clearing_whatever_its_number(
    store: Store, pairs: list[Pair]
) -> None:
    workspace = store.workspace
    for pair in pairs:
        published(workspace, pair)
    roll_back(workspace, 1)
    store.collect_garbage(dry_run=False, older_than_days=0, keep_releases=1)
    now = current(workspace)
    assert now
    assert now.id == 1
    assert is_whole(workspace, now)
    assert roll_back(workspace, 3).id == 3  # among the newest that were kept
    with pytest.raises(ArtifactError, match="release 2 cannot be gone back to"):
        roll_back(workspace, 2)


def test_a_release_tells_its_registered_version(store: Store, pairs: list[Pair]) -> None:
    release: Release = publish(store.workspace, embedder=pairs[0][0].ref, export=pairs[0][1].ref)
    assert release.registered_as == {
        "content_id": pairs[0][0].ref.content_id,
        "release": "1",
    }
