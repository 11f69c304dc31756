"""A file is the old one or the new one; a full disk is named, and leaves nothing behind."""

import errno
import resource
import signal
from pathlib import Path

import pytest

from tasks.store.atomic import write_atomic
from tasks.store.disk import explaining_full_disk, says_disk_is_full
from tasks.store.errors import DiskFullError
from tests.tasks.store.making import killed_at_change


def test_it_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    for content in (b"old", b"", b"new"):
        write_atomic(tmp_path / "f", content)
        assert (tmp_path / "f").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_failed_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "f", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk lost it")

    monkeypatch.setattr("tasks.store.atomic.os.fsync", fail)
    with pytest.raises(OSError, match=rf"it: .{tmp_path}"):
        write_atomic(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"old")
    kills = 0
    while killed_at_change(kills + 1, tmp_path, lambda: write_atomic(tmp_path / "f", b"new")):
        assert (tmp_path / "f").read_bytes() in (b"old", b"new")
        kills += 1
    assert kills >= 3  # open the part, rename it, open the folder to sync it
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_size_limit_is_a_full_disk_and_is_named(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(
            DiskFullError, match=r"f: 5,000 bytes are needed, [\d,]+ bytes are free"
        ):
            write_atomic(tmp_path / "f", b"x" * 5_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_without_room_is_recognised() -> None:
    with pytest.raises(DiskFullError, match="/dev/full"), explaining_full_disk(Path("/dev/full")):
        Path("/dev/full").write_bytes(b"x")


def test_native_libraries_sentences_are_recognised_and_others_are_not() -> None:
    wrapped = RuntimeError("could not save")
    wrapped.__cause__ = RuntimeError("I/O error: No space left on device (os error 28)")
    assert says_disk_is_full(wrapped)
    assert not says_disk_is_full(OSError(errno.EACCES, "Permission denied"))
    assert not says_disk_is_full(None)
