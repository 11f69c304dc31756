"""What is found is exactly what was committed; everything else is set aside and named."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.errors import ArtifactError
from tasks.store import verification
from tasks.store.artifact import Artifact
from tasks.store.errors import FormatError
from tasks.store.hashing import sha256_of
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.store.making import (
    FILES,
    Listener,
    flip_bit,
    identity_of,
    make,
    overwrite,
    resealed,
)


def test_nothing_is_found_where_nothing_was_made(store: Store, warnings: Listener) -> None:
    assert store.find(identity_of(), {}) is None
    assert not warnings


def test_what_was_committed_is_found_by_this_and_any_other_process(store: Store) -> None:
    identity = identity_of(k=1)
    artifact = make(store, identity)
    assert store.find(identity, {}) == artifact
    assert Store(store.workspace).find(identity, {}) == artifact
    assert store.get("vocab", identity.input_id) == artifact
    assert list(store.artifacts()) == [artifact]
    assert store.verify_all() == []
    for name, content in FILES.items():
        assert artifact.file(name).read_bytes() == content
    assert artifact.ref.path == f"artifacts/vocab/{identity.input_id}"
    assert artifact.path == store.workspace.path / artifact.ref.path


def test_files_are_read_only_and_only_listed_ones_are_handed_out(store: Store) -> None:
    artifact = make(store, identity_of())
    assert all(not artifact.file(name).stat().st_mode & 0o222 for name in FILES)
    for name in ("MANIFEST.json", "../vocab", "nothing"):
        with pytest.raises(ArtifactError, match="no file"):
            artifact.file(name)


def truncate(folder: Path) -> None:
    overwrite(folder / "a.txt", b"fir")


def remove(folder: Path) -> None:
    (folder / "deep/er/b.bin").unlink()


def add(folder: Path) -> None:
    (folder / "deep/extra").touch()


def link(folder: Path) -> None:
    (folder / "empty").unlink()
    (folder / "empty").symlink_to("/dev/null")


def swap(folder: Path) -> None:
    (folder / "a.txt").rename(folder / "t")
    (folder / "empty").rename(folder / "a.txt")
    (folder / "t").rename(folder / "empty")


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (lambda folder: flip_bit(folder / "a.txt", 3), "a.txt has other content"),
    (lambda folder: flip_bit(folder / "deep/er/b.bin", 80_000), "deep/er/b.bin has other content"),
    (truncate, "a.txt has 3 bytes instead of 6"),
    (remove, "deep/er/b.bin is missing"),
    (add, "deep/extra is not in the manifest"),
    (link, "empty is no plain file"),
    (swap, "a.txt has 0 bytes instead of 6"),
    (lambda folder: flip_bit(folder / "MANIFEST.json", 999), "MANIFEST.json was"),
    (lambda folder: overwrite(folder / "MANIFEST.json", b"{"), "MANIFEST.json was truncated"),
    (lambda folder: (folder / "MANIFEST.json").unlink(), "MANIFEST.json is missing"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=[said for _, said in DAMAGES])
def test_damage_is_named_set_aside_and_made_again(
    store: Store, warnings: Listener, damage: Callable[[Path], None], said: str
) -> None:
    identity = identity_of()
    good = make(store, identity)
    assert store.find(identity, {})
    damage(good.path)
    problems = store.verify_all()
    assert any(said in problem and identity.input_id in problem for problem in problems)
    assert store.find(identity, {}) is None
    assert len(warnings) == 1
    assert said in warnings[0]
    assert not good.path.exists()
    kept = [path for path in (store.workspace.quarantine / "vocab").iterdir() if path.is_dir()]
    assert [path.name.partition("-")[0] for path in kept] == [identity.input_id]
    assert str(kept[0].relative_to(store.workspace.path)) in warnings[0]
    reason = kept[0].with_name(f"{kept[0].name}.reason.json")
    assert said in reason.read_text()
    assert make(store, identity).ref == good.ref


def test_a_good_file_in_a_foreign_place_is_not_taken(store: Store, warnings: Listener) -> None:
    good = make(store, identity_of(k=1))
    wanted = identity_of(k=2)
    good.path.rename(store.workspace.artifact_folder("vocab", wanted.input_id))
    assert store.find(wanted, {}) is None
    assert "another artifact" in warnings[0]


def test_a_file_in_the_place_of_the_folder_is_set_aside(store: Store, warnings: Listener) -> None:
    identity = identity_of()
    place = store.workspace.artifact_folder("vocab", identity.input_id)
    place.parent.mkdir()
    place.write_text("not a folder")
    assert make(store, identity).path == place
    assert len(warnings) == 1


def test_an_artifact_of_a_newer_format_is_neither_used_nor_moved(store: Store) -> None:
    identity = identity_of()
    artifact = make(store, identity)
    manifest = artifact.path / "MANIFEST.json"
    overwrite(manifest, resealed(manifest.read_bytes(), format_version=7))
    with pytest.raises(FormatError, match="needs version 7"):
        store.find(identity, {})
    assert artifact.path.is_dir()


def chain(store: Store, upstream_files: dict[str, bytes]) -> tuple[Artifact, Artifact]:
    upstream = make(store, identity_of("ingest"), files=upstream_files)
    inputs = {"ingest": upstream}
    return upstream, make(store, identity_of("vocab", inputs), inputs=inputs)


def test_what_was_made_from_another_upstream_is_out_of_date(
    store: Store, warnings: Listener
) -> None:
    old_upstream, old = chain(store, {"corpus": b"old"})
    flip_bit(old_upstream.file("corpus"))
    upstream, new = chain(store, {"corpus": b"new"})
    assert new.ref == old.ref  # the same request, and here the same files
    assert old.manifest.inputs["ingest"].content_id == old_upstream.ref.content_id
    assert new.manifest.inputs["ingest"].content_id == upstream.ref.content_id
    assert len(warnings) == 2
    assert "made from another ingest" in warnings[1]
    assert old_upstream.ref.content_id in warnings[1]


def test_a_file_is_read_once_a_process_while_it_stays_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_SETTLED_NS", -1)
    read: list[str] = []

    def count(path: Path) -> str:
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(verification, "sha256_of", count)
    identity = identity_of()
    artifact = make(store, identity)
    assert store.find(identity, {})
    assert store.find(identity, {})
    assert sorted(read) == ["a.txt", "b.bin", "empty"]
    artifact.file("a.txt").touch()
    assert store.find(identity, {})
    assert len(read) == 6
    assert Store(store.workspace).find(identity, {})
    assert len(read) == 9


def test_an_edit_that_hides_behind_the_old_time_is_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_SETTLED_NS", -1)
    identity = identity_of()
    artifact = make(store, identity)
    path = artifact.file("a.txt")
    before = path.stat()
    assert store.find(identity, {})
    time.sleep(0.02)  # past the tick of the file system's clock
    flip_bit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.find(identity, {}) is None


def test_a_rebuilt_artifact_is_not_set_aside_for_what_its_predecessor_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.store import lookup

    identity = identity_of()
    flip_bit(make(store, identity).file("a.txt"))
    examined = verification.flaws_of

    def rebuilt_meanwhile(artifact: Artifact, memory: verification.Memory) -> list[str]:
        flaws = examined(artifact, memory)
        monkeypatch.setattr(lookup, "flaws_of", examined)
        make(Store(store.workspace), identity)
        return flaws

    monkeypatch.setattr(lookup, "flaws_of", rebuilt_meanwhile)
    assert store.find(identity, {}) is None
    assert store.find(identity, {})
    assert len(list((store.workspace.quarantine / "vocab").glob("*.json"))) == 1


def test_listing_skips_what_it_cannot_read_and_says_so(store: Store, warnings: Listener) -> None:
    good, bad = make(store, identity_of(k=1)), make(store, identity_of(k=2))
    (bad.path / "MANIFEST.json").unlink()
    assert list(store.artifacts()) == [good]
    assert len(warnings) == 1
    with pytest.raises(ArtifactError, match="missing"):
        store.get("vocab", bad.ref.input_id)
    with pytest.raises(ArtifactError, match="missing"):
        store.get("vocab", "0" * 32)


def test_verifying_says_how_far_it_is(store: Store) -> None:
    make(store, identity_of(k=1))
    make(store, identity_of(k=2))
    heard: list[tuple[int, int, str]] = []
    store.verify_all(lambda *progress: heard.append(progress))
    assert heard == [(1, 2, "artifacts"), (2, 2, "artifacts")]


def test_an_unopened_workspace_can_be_read_by_all(store: Store) -> None:
    artifact = make(store, identity_of())
    reader = Store(Workspace.open_existing(store.workspace.path))
    assert reader.get("vocab", artifact.ref.input_id) == artifact


def test_what_is_loaded_for_each_command_is_verified_but_for_what_is_not_read(
    store: Store,
) -> None:
    artifact = make(store, identity_of())
    assert store.checked_folder_of(artifact.ref, unread="deep") == artifact.path
    flip_bit(artifact.file("deep/er/b.bin"))
    assert store.checked_folder_of(artifact.ref, unread="deep") == artifact.path
    with pytest.raises(ArtifactError, match=r"deep/er/b\.bin has other content.*run vocab again"):
        store.checked_folder_of(artifact.ref, unread="dee")
    artifact.file("a.txt").unlink()
    with pytest.raises(ArtifactError, match=r"a\.txt is missing"):
        store.checked_folder_of(artifact.ref, unread="deep")
