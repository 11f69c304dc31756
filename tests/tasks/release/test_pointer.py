"""What is published is whole at every moment, whoever publishes, dies or reads."""

import json
import math
import os
import shutil
import threading

import pytest

from model.errors import ArtifactError, CorpusmithError, RequestError
from tasks.release import lock
from tasks.release.pointer import current, flaws_of_current, publish, releases
from tasks.store.errors import FormatError
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.release.pairs import Pair, is_whole, published
from tests.tasks.store.making import killed_at_change


def test_before_the_first_there_is_none(store: Store) -> None:
    assert current(store.workspace) is None
    assert releases(store.workspace) == []


def test_a_release_holds_all_that_a_reader_needs(store: Store, pairs: list[Pair]) -> None:
    workspace = store.workspace
    embedder, export = pairs[0]
    scores = {"evaluate/half_document_recall_at_1": 0.75}
    release = publish(workspace, embedder=embedder.ref, export=export.ref, scores=scores)
    assert current(workspace) == release
    assert releases(workspace) == [release]
    assert release.id == 1
    assert (release.embedder, release.export) == (embedder.ref, export.ref)
    assert release.scores == scores
    assert release.corpus
    assert release.corpus.content_id == export.manifest.inputs["ingest"].content_id
    said = json.loads((workspace.published / "current.json").read_text())
    assert said["export"]["path"] == export.ref.path
    link = workspace.published / "embeddings"
    assert not link.readlink().is_absolute()
    assert (link / "part-00000.parquet").read_bytes() == b"vectors of 0"
    assert [each["stage"] for each in store.lineage(link / "part-00000.parquet")][:1] == ["export"]


def test_a_release_that_misses_something_is_found_out(store: Store, pairs: list[Pair]) -> None:
    assert flaws_of_current(store.workspace) == []
    published(store.workspace, pairs[0])
    assert flaws_of_current(store.workspace) == []
    shutil.rmtree(pairs[0][1].path)
    [flaw] = flaws_of_current(store.workspace)
    assert flaw.startswith("release 1: ")
    assert pairs[0][1].ref.path in flaw


def test_the_same_pair_again_changes_nothing(store: Store, pairs: list[Pair]) -> None:
    first = published(store.workspace, pairs[0])
    before = (store.workspace.published / "current.json").stat()
    assert published(store.workspace, pairs[0]) == first
    after = (store.workspace.published / "current.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert len(releases(store.workspace)) == 1


def test_releases_count_up_and_an_old_pair_comes_back_under_its_id(
    store: Store, pairs: list[Pair]
) -> None:
    workspace = store.workspace
    assert [published(workspace, pair).id for pair in pairs] == [1, 2, 3]
    assert published(workspace, pairs[0]).id == 1
    assert [each.id for each in releases(workspace)] == [3, 2, 1]
    back = current(workspace)
    assert back
    assert back.embedder == pairs[0][0].ref
    assert (workspace.published / "embeddings").resolve() == pairs[0][1].path


def test_a_decision_made_on_an_old_release_is_refused(store: Store, pairs: list[Pair]) -> None:
    seen = published(store.workspace, pairs[0])
    published(store.workspace, pairs[1])
    with pytest.raises(RequestError, match="release 1 was expected to be current, it is release 2"):
        published(store.workspace, pairs[2], expected=seen)
    newest = current(store.workspace)
    assert newest
    assert published(store.workspace, pairs[2], expected=newest).id == 3


def test_a_first_release_does_not_replace_another_first_one(
    store: Store, pairs: list[Pair]
) -> None:
    """Two first runs at once: what the later one made has to be tried against the earlier's."""
    first = published(store.workspace, pairs[0], expected=None)
    with pytest.raises(
        RequestError, match="no release was expected to be current, it is release 1"
    ):
        published(store.workspace, pairs[1], expected=None)
    assert current(store.workspace) == first
    assert releases(store.workspace) == [first]


def test_only_a_committed_matching_pair_is_published(store: Store, pairs: list[Pair]) -> None:
    (embedder, export), (other, _), _ = pairs
    with pytest.raises(ArtifactError, match="not made with the embedder"):
        published(store.workspace, (other, export))
    foreign = export.ref.model_copy(update={"content_id": "0" * 32})
    with pytest.raises(ArtifactError, match="other content"):
        publish(store.workspace, embedder=embedder.ref, export=foreign)
    with pytest.raises(CorpusmithError, match=r"scores\.loss"):
        publish(
            store.workspace, embedder=embedder.ref, export=export.ref, scores={"loss": math.nan}
        )
    (export.path / "MANIFEST.json").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        published(store.workspace, (embedder, export))
    assert current(store.workspace) is None
    assert releases(store.workspace) == []


def test_a_folder_in_the_way_of_the_link_is_refused_before_anything_is_switched(
    store: Store, pairs: list[Pair]
) -> None:
    (store.workspace.published / "embeddings").mkdir()
    with pytest.raises(RequestError, match="in the way"):
        published(store.workspace, pairs[0])
    assert current(store.workspace) is None


def test_a_link_left_behind_is_put_right(store: Store, pairs: list[Pair]) -> None:
    published(store.workspace, pairs[0])
    link = store.workspace.published / "embeddings"
    link.unlink()
    link.symlink_to("../artifacts/gone")
    published(store.workspace, pairs[0])
    assert link.resolve() == pairs[0][1].path


@pytest.mark.parametrize(
    ("content", "error"),
    [("{", ArtifactError), ("[]", ArtifactError), ('{"format_version": 1}', ArtifactError)],
)
def test_a_damaged_pointer_is_named(store: Store, content: str, error: type[ArtifactError]) -> None:
    store.workspace.current_release.write_text(content)
    with pytest.raises(error, match=r"current\.json is damaged"):
        current(store.workspace)


def test_a_release_of_a_newer_format_is_named(store: Store) -> None:
    store.workspace.current_release.write_text('{"format_version": 2, "id": 1}')
    with pytest.raises(FormatError, match="needs version 2"):
        current(store.workspace)


def test_killed_at_any_moment_the_release_is_whole_and_publishing_again_ends_it(
    store: Store, pairs: list[Pair]
) -> None:
    workspace = store.workspace
    published(workspace, pairs[0])
    kills = 0
    while killed_at_change(kills + 1, workspace.published, lambda: published(workspace, pairs[1])):
        kills += 1
        now = current(workspace)
        assert now
        assert is_whole(workspace, now)
        assert (workspace.published / "embeddings/part-00000.parquet").exists()
        assert published(workspace, pairs[1]).id == 2
        assert published(workspace, pairs[0]).id == 1
    assert kills >= 8
    assert [each.id for each in releases(workspace)] == [2, 1]


def test_readers_never_see_half_while_publishers_race(store: Store, pairs: list[Pair]) -> None:
    workspace = store.workspace
    published(workspace, pairs[0])
    publishers = [publish_in_a_loop(workspace, [pair, pairs[2]]) for pair in pairs[:2]]
    seen: set[int] = set()
    reads = 0
    while not all(has_ended(publisher) for publisher in publishers):
        release = current(workspace)
        assert release
        assert is_whole(workspace, release)
        content = (workspace.published / "embeddings/part-00000.parquet").read_bytes()
        assert content.startswith(b"vectors of ")
        seen.add(release.id)
        reads += 1
    assert reads > 50
    assert len(seen) > 1
    assert [each.id for each in releases(workspace)] == [3, 2, 1]
    last = current(workspace)
    assert last
    assert (workspace.published / "embeddings").resolve() == workspace.path / last.export.path
    assert not list(workspace.published.glob(".*.part"))


def publish_in_a_loop(workspace: Workspace, pairs: list[Pair]) -> int:
    child = os.fork()
    if child == 0:
        try:
            for _ in range(15):
                for pair in pairs:
                    published(workspace, pair)
        except BaseException as error:
            os.write(2, f"publisher: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return child


_ended: set[int] = set()


def has_ended(child: int) -> bool:
    if child in _ended:
        return True
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        assert os.waitstatus_to_exitcode(status) == 0
        _ended.add(child)
    return bool(pid)


def test_a_publisher_that_does_not_end_is_not_waited_for_forever(
    store: Store, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_S", 0.05)
    release = threading.Event()
    holding = threading.Event()

    def hold() -> None:
        with lock.publishing(store.workspace):
            holding.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    with pytest.raises(ArtifactError, match="another process is publishing"):
        published(store.workspace, pairs[0])
    release.set()
    thread.join()
    assert published(store.workspace, pairs[0]).id == 1


def test_what_is_published_is_no_garbage(store: Store, pairs: list[Pair]) -> None:
    published(store.workspace, pairs[1])
    gone = {path for path, _ in store.collect_garbage(dry_run=False, older_than_days=0)}
    assert gone == {artifact.path for pair in (pairs[0], pairs[2]) for artifact in pair}
    release = current(store.workspace)
    assert release
    assert is_whole(store.workspace, release)
    assert store.verify_all() == []
