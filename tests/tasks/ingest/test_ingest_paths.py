"""Files, folders and globs lead to named files; what cannot work is said before anything starts."""

import os
from pathlib import Path

import pytest

from model.errors import RequestError
from tasks.ingest.config import IngestConfig
from tasks.ingest.paths import check_paths, find_files


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


def test_no_paths_need_no_files() -> None:
    check_paths(IngestConfig())
