"""Sources are known by their content; asking again is cheap, and no change goes unseen."""

import hashlib
import os
import random
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest.config import IngestConfig
from tasks.ingest.places import digests as digests_module
from tasks.ingest.places.builtin_files import find_builtin_files
from tasks.ingest.places.digests import DigestMemory, process_memory
from tasks.ingest.places.globs import Glob
from tasks.ingest.places.location import open_location, state_of
from tasks.ingest.places.source_errors import SourceChangedError
from tasks.ingest.places.sources import (
    UNREADABLE,
    check_unchanged,
    list_sources,
)

LONG_AGO_S = time.time() - 3600


@pytest.fixture(autouse=True)
def clean_slate(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    process_memory.cache_clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every location that is opened to be hashed."""
    seen: list[str] = []

    def watched(location: str) -> object:
        seen.append(location)
        return open_location(location)

    monkeypatch.setattr(digests_module, "open_location", watched)
    return seen


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets so much time pass that the clock can no longer hide a change."""
    ahead_ns = [0]
    now = time.time_ns
    monkeypatch.setattr(digests_module.time, "time_ns", lambda: now() + ahead_ns[0])

    def pass_time() -> None:
        ahead_ns[0] += 3 * 10**9

    return pass_time


def config(*paths: Path) -> IngestConfig:
    return IngestConfig(paths=[str(path) for path in paths])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_sources_say_what_and_where(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_bytes(b"content")
    (source,) = list_sources(config(tmp_path))
    assert source.name == "b/x.txt"
    assert source.location == str(tmp_path / "b" / "x.txt")
    assert source.path == tmp_path / "b" / "x.txt"
    assert (source.sha256, source.num_bytes) == (sha256(b"content"), 7)


def test_names_that_come_twice_are_numbered_by_content(tmp_path: Path) -> None:
    contents = {"one": b"1", "two": b"2", "three": b"3"}
    for folder, content in contents.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_bytes(content)
    paths = [tmp_path / folder for folder in contents]
    found = list_sources(config(*paths))
    assert [source.name for source in found] == ["x", "x~2", "x~3"]
    assert list_sources(config(*reversed(paths))) == found
    assert [source.sha256 for source in found] == sorted(map(sha256, contents.values()))


def test_a_file_is_hashed_once(
    tmp_path: Path, opened: list[str], later: Callable[[], None]
) -> None:
    (tmp_path / "x").write_bytes(b"content")
    later()
    found = list_sources(config(tmp_path))
    assert len(opened) == 1
    check_unchanged(found)
    assert list_sources(config(tmp_path)) == found
    assert len(opened) == 1


def test_a_file_just_written_is_hashed_until_its_time_is_beyond_doubt(
    tmp_path: Path, opened: list[str], later: Callable[[], None]
) -> None:
    (tmp_path / "x").write_bytes(b"content")
    for num_opened in (1, 2):
        list_sources(config(tmp_path))
        assert len(opened) == num_opened
    later()
    for num_opened in (3, 3):
        list_sources(config(tmp_path))
        assert len(opened) == num_opened


def test_an_old_date_on_a_new_file_is_not_trusted(tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "x").write_bytes(b"content")
    os.utime(tmp_path / "x", (LONG_AGO_S, LONG_AGO_S))
    for _ in range(2):
        list_sources(config(tmp_path))
    assert len(opened) == 2


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def same_size_same_date(path: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=times)


def replaced_by_one_of_the_same_date(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def replaced_by_a_link(path: Path) -> None:
    target = path.rename(path.with_name(".moved"))
    path.symlink_to(target)


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other"),
        grown,
        lambda path: path.unlink(),
        same_size_same_date,
        replaced_by_one_of_the_same_date,
        replaced_by_a_link,
        replaced_by_a_pipe,
    ],
)
def test_changes_are_seen(
    tmp_path: Path, later: Callable[[], None], change: Callable[[Path], None]
) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"content")
    later()
    before = list_sources(config(path))
    change(path)
    with pytest.raises(SourceChangedError, match=r"x\.txt changed while it was being read"):
        check_unchanged(before)


def test_a_new_date_on_the_same_content_is_no_change(
    tmp_path: Path, later: Callable[[], None]
) -> None:
    (tmp_path / "x").write_bytes(b"content")
    later()
    before = list_sources(config(tmp_path))
    (tmp_path / "x").touch()
    (tmp_path / "x").chmod(0o600)
    check_unchanged(before)


def test_a_file_that_changes_once_while_it_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")
    hashed = digests_module._digest

    def then_change(location: str) -> tuple[str, int]:
        monkeypatch.setattr(digests_module, "_digest", hashed)
        found = hashed(location)
        path.write_bytes(b"and after")
        return found

    monkeypatch.setattr(digests_module, "_digest", then_change)
    assert DigestMemory().digest(str(path)) == (sha256(b"and after"), 9)


def test_a_file_that_does_not_stop_changing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0")

    def growing(location: str) -> tuple[str, int]:
        with path.open("ab") as file:
            file.write(b"0")
        return "", 0

    monkeypatch.setattr(digests_module, "_digest", growing)
    with pytest.raises(SourceChangedError, match="is being written to"):
        list_sources(config(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"secret")
    (tmp_path / "x").chmod(0)
    (tmp_path / "folder").mkdir(mode=0)
    try:
        found = {source.name: source.sha256 for source in list_sources(config(tmp_path))}
        assert found == {"x": UNREADABLE, "folder": UNREADABLE}
    finally:
        (tmp_path / "folder").chmod(0o700)


def test_what_cannot_be_read_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"secret")

    def denied(location: str) -> object:
        raise PermissionError

    monkeypatch.setattr(digests_module, "open_location", denied)
    (source,) = list_sources(config(tmp_path))
    assert (source.sha256, source.num_bytes) == (UNREADABLE, 0)
    check_unchanged([source])


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.txt"))
    path.write_bytes(b"content")
    (source,) = list_sources(config(tmp_path))
    assert source.name == "caf\\xe9\n.txt"
    assert source.sha256 == sha256(b"content")
    with open_location(source.location) as file:
        assert file.read() == b"content"
    path.write_bytes(b"changed")
    with pytest.raises(SourceChangedError) as caught:
        check_unchanged([source])
    str(caught.value).encode()
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(10)
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"content")
    for place in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError):
            open_location(str(place))
    with open_location(str(tmp_path / "file")) as file:
        assert file.seek(3) == 3
        assert file.read() == b"tent"


def test_a_link_swapped_in_between_the_look_and_the_opening_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"content")
    (tmp_path / "secret").write_bytes(b"secret")
    look = os.lstat

    def look_then_swap(name: str) -> os.stat_result:
        status = look(name)
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        return status

    monkeypatch.setattr("tasks.ingest.places.location.os.lstat", look_then_swap)
    with pytest.raises(OSError):
        open_location(str(path))


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    for ask in (open_location, state_of, DigestMemory().digest):
        with pytest.raises(FileNotFoundError):
            ask(str(tmp_path / "absent"))


def test_the_library_is_found_and_can_be_opened() -> None:
    files = find_builtin_files()
    assert "gzip.py" in [file.name for file in files]
    for file in random.Random(0).sample(files, 20):
        open_location(file.location).close()


def test_many_files_are_listed_in_moments(tmp_path: Path) -> None:
    for number in range(2000):
        os.mknod(tmp_path / f"{number}.txt")
    memory = process_memory()
    found = list_sources(config(tmp_path))
    assert len(found) == 2000
    for source in found:  # as if all of them were old
        state = state_of(source.location)
        assert state
        memory._remember(source.location, state, (source.sha256, 0))
    started_s = time.process_time()  # what others take meanwhile does not count
    list_sources(config(tmp_path))
    check_unchanged(found)
    assert time.process_time() - started_s < 0.4


PARTS = st.sampled_from(["a", "b", "ab", "a.txt", "c"])
PATTERNS = st.sampled_from(["a", "*", "**", "?", "a*", "*.txt", "[ab]", "[!a]*"])


@settings(max_examples=200, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=4), st.lists(PARTS, min_size=1, max_size=5))
def test_globs_agree_with_their_definition(pattern: list[str], path: list[str]) -> None:
    """A path matches if it, or a folder on its way, does, part by part."""

    def matches(pattern: list[str], path: list[str]) -> bool:
        if not pattern:
            return True  # what lies below a match
        if pattern[0] == "**":
            return matches(pattern[1:], path) or (bool(path) and matches(pattern, path[1:]))
        return bool(path) and fnmatchcase(path[0], pattern[0]) and matches(pattern[1:], path[1:])

    glob = Glob(pattern)
    positions = glob.start
    for part in path:
        positions = glob.step(positions, part)
    assert glob.is_match(positions) == matches(pattern, path)
