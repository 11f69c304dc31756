"""Files, folders and globs lead to named files; what cannot work is said before anything starts."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from model.errors import RequestError
from tasks.ingest.config import IngestConfig
from tasks.ingest.places.paths import check_paths, find_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, hidden files, and links that lead out of it and in circles."""
    root = tmp_path / "tree"
    for name in ("b.txt", "a/one.txt", "a/two.md", "a/.hidden", ".git/config", "a/b/three"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "linked").symlink_to(outside)
    (root / "a" / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def unlistable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders called `locked` cannot be listed, also not by root."""
    scan = os.scandir

    def scan_unless_locked(folder: str) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scan_unless_locked)


def names(*paths: Path | str) -> list[str]:
    return [file.name for file in find_files([str(path) for path in paths])]


def test_a_folder_is_walked_without_hidden_files_and_links(tree: Path) -> None:
    assert names(tree) == ["a/b/three", "a/one.txt", "a/two.md", "b.txt"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["b.txt"]),
        ("*/*.txt", ["a/one.txt"]),
        ("**/*.txt", ["a/one.txt", "b.txt"]),
        ("a/*", ["b/three", "one.txt", "two.md"]),
        ("a/o?e.[st]xt", ["one.txt"]),
        ("*", ["a/b/three", "a/one.txt", "a/two.md", "b.txt"]),
    ],
)
def test_globs_name_files_from_their_fixed_part(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(tree / pattern) == found


def test_a_file_goes_by_its_name(tree: Path) -> None:
    assert names(tree / "a" / "one.txt", tree / "b.txt") == ["b.txt", "one.txt"]


def test_a_link_that_was_asked_for_is_followed(tree: Path) -> None:
    assert names(tree / "link.txt") == ["link.txt"]
    assert names(tree / "linked") == ["secret.txt"]


def test_a_file_found_twice_counts_once(tree: Path) -> None:
    assert names(tree, tree / "b.txt", tree / "a", tree / "**/*.md") == [
        "a/b/three",
        "a/one.txt",
        "a/two.md",
        "b.txt",
    ]


def test_a_name_with_wildcards_in_it_is_a_file_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "data[1].txt").write_text("x")
    (tmp_path / "data1.txt").write_text("y")
    assert names(tmp_path / "data[1].txt") == ["data[1].txt"]


def test_a_name_like_a_home_or_an_address_can_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    (tmp_path / "s3:" / "bucket" / "x").write_text("x")
    assert names("./s3://bucket/x") == ["x"]


def test_names_that_are_not_utf8_are_spelled_out(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("x")
    assert names(tmp_path) == ["caf\\xe9.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.txt", "does not exist"),
        ("*.absent", "has no files"),
        ("absent/*.txt", "leads nowhere"),
        (".git", "has no files"),
        ("pipe", "neither a file nor a folder"),
        ("a\0b", "does not exist|cannot be used"),
        ("x" * 5000, "does not exist|cannot be used"),
    ],
)
def test_a_path_that_leads_nowhere(tree: Path, name: str, message: str) -> None:
    (tree / ".git" / "config").unlink()
    with pytest.raises(RequestError, match=message):
        check_paths(IngestConfig(paths=[str(tree / name)]))


def test_a_path_that_may_not_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RequestError, match="is not readable"):
        check_paths(IngestConfig(paths=[str(tree)]))


def test_a_file_is_known_by_where_it_lies(tree: Path) -> None:
    (found,) = find_files([str(tree / "link.txt")])
    assert found.location == str(tree.parent / "outside" / "secret.txt")
    assert found.path == tree.parent / "outside" / "secret.txt"


@pytest.mark.parametrize("pattern", ["", "**", "*/*", "**/*.txt"])
def test_a_folder_that_cannot_be_listed_is_accounted_for(
    tmp_path: Path, unlistable: None, pattern: str
) -> None:
    (tmp_path / "x" / "locked").mkdir(parents=True)
    (tmp_path / "x" / "a.txt").write_text("x")
    assert names(tmp_path / pattern) == ["x/a.txt", "x/locked"]


def test_a_glob_does_not_look_where_nothing_can_match(tmp_path: Path, unlistable: None) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.txt").write_text("x")
    assert names(tmp_path / "x*" / "*.txt") == ["x/a.txt"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("pattern", ["", "*", "**/*"])
def test_pipes_and_sockets_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        (tmp_path / "x.txt").write_text("x")
        assert names(tmp_path / pattern) == ["x.txt"]
        with pytest.raises(RequestError, match="neither a file nor a folder"):
            names("socket")


def test_a_device_is_refused() -> None:
    with pytest.raises(RequestError, match="neither a file nor a folder"):
        names("/dev/zero")


def test_folders_may_lie_deeper_than_python_can_recurse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = 1100
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.txt").write_text("x")
    try:
        assert [len(name) for name in names(tmp_path)] == [2 * depth + len("x.txt")]
    finally:  # pytest cannot delete it
        Path("x.txt").unlink()
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()


def test_ten_thousand_files_are_found_in_a_second(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for number in range(100):
            os.mknod(tmp_path / str(folder) / f"{number}.txt")
    for pattern in ("", "**/*.txt", "*/*"):
        started_s = time.thread_time()  # other tests may have left busy threads
        assert len(names(tmp_path / pattern)) == 10_000
        assert time.thread_time() - started_s < 1


def test_no_paths_need_no_files() -> None:
    check_paths(IngestConfig())
