"""Contents come out of compressed files and archives as they went in."""

import errno
import gzip
import io
import itertools
import random
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.containers.contents import Content, open_contents
from tasks.ingest.reading.records import FileRefusedError, Reason, Refusal
from tasks.ingest.reading.streams import HEAD_BYTES
from tests.tasks.ingest.archive_builders import (
    COMPRESS,
    Member,
    members_of,
    raw_zip,
    read_all,
    read_one,
    tar_of,
    with_checksum,
    zip_of,
)

NOISE = random.Random(5).randbytes(300_000)
MEMBERS: list[Member] = [("a.txt", b"hello"), ("b/c.bin", NOISE), ("b/empty", b""), ("d", b"end")]
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

names = st.text(st.sampled_from("abcäß中 _~x"), min_size=1, max_size=150)
member_lists = st.lists(
    st.tuples(names, st.binary(max_size=2000).map(b"-".__add__)),
    max_size=6,
    unique_by=lambda member: member[0],
)


Pack = Callable[..., bytes]


class FailingFile(io.BytesIO):
    """A file that fails where it is told to."""

    fails_at: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.fails_at is not None and self.tell() + max(size or 0, 0) > self.fails_at:
            raise OSError(errno.EIO, "no disk")
        return super().read(size)


def test_a_plain_file_is_its_own_content(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(NOISE * 8)
    with path.open("rb") as file:
        file.seek(77)
        (content,) = open_contents("the name", file, tmp_path)
        assert isinstance(content, Content)
        assert (content.name, content.is_all) == ("the name", False)
        assert content.head == NOISE[:HEAD_BYTES]
        assert content.file is file
        assert file.tell() == 0
        read = bytearray()
        for piece in content.pieces:
            read += piece
            file.seek(3)  # as a reader of Parquet would, at the same time
        assert read == NOISE * 8


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES, HEAD_BYTES + 1])
def test_a_head_knows_whether_it_is_all(size: int, tmp_path: Path) -> None:
    data = NOISE[:size]
    for packed in (data, gzip.compress(data), tar_of(("x", data)), zip_of(("x", data))):
        (content,) = open_contents("n", io.BytesIO(packed), tmp_path)
        assert isinstance(content, Content)
        assert content.head == data[:HEAD_BYTES]
        assert content.is_all == (size <= HEAD_BYTES)
        assert (content.file is None) == (packed is not data)
        assert b"".join(content.pieces) == data


@given(kind=st.sampled_from(sorted(COMPRESS)), data=st.binary(max_size=3000))
def test_a_compressed_file_is_one_content(kind: str, data: bytes) -> None:
    packed = COMPRESS[kind](b"text " + data)
    assert read_all("log", packed, Path()) == [("log", b"text " + data)]


@pytest.mark.parametrize("kind", ["", *COMPRESS])
def test_tar_archives_are_read_through_every_compression(kind: str, tmp_path: Path) -> None:
    packed = COMPRESS.get(kind, bytes)(tar_of(*MEMBERS))
    assert members_of(read_all("x.tar", packed, tmp_path), "x.tar") == MEMBERS


@pytest.mark.parametrize("method", ZIP_METHODS)
def test_zip_archives_are_read_with_every_method(method: int, tmp_path: Path) -> None:
    packed = zip_of(*MEMBERS, method=method)
    assert members_of(read_all("x.zip", packed, tmp_path), "x.zip") == MEMBERS


def test_zip_members_may_be_zstd(tmp_path: Path) -> None:
    plain = zip_of(("a", NOISE), method=zipfile.ZIP_STORED)
    crc = zipfile.ZipFile(io.BytesIO(plain)).infolist()[0].CRC
    packed = raw_zip([(b"a", zstd.compress(NOISE))], method=93, num_bytes=len(NOISE), crc=crc)
    assert read_all("x", packed, tmp_path) == [("x/a", NOISE)]


@given(members=member_lists, format=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_tar_agrees_with_the_standard_library(members: list[Member], format: int) -> None:
    packed = tar_of(*members, format=format)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        read = [(info.name, archive.extractfile(info).read()) for info in archive]
    assert members_of(read_all("t", packed, Path()), "t") == read == members if members else True


@given(members=member_lists, method=st.sampled_from(ZIP_METHODS))
def test_zip_agrees_with_the_standard_library(members: list[Member], method: int) -> None:
    packed = zip_of(*members, method=method)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        read = [(info.filename, archive.read(info)) for info in archive.infolist()]
    assert members_of(read_all("z", packed, Path()), "z") == read == members


def test_names_of_every_length_and_dialect(tmp_path: Path) -> None:
    long = ["a" * 99, "b/" * 60 + "c" * 90, "ä" * 120, "long/" * 600 + "x"]
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        packed = tar_of(*[(name, b"1") for name in long], format=format)
        assert [name for name, _ in read_all("t", packed, tmp_path)] == [f"t/{n}" for n in long]
    packed = tar_of(*[(name, b"1") for name in long[:2]], format=tarfile.USTAR_FORMAT)
    assert [name for name, _ in read_all("t", packed, tmp_path)] == [f"t/{n}" for n in long[:2]]
    packed = raw_zip([(b"caf\x82.txt", b"1"), ("café.txt".encode(), b"2")])
    assert [name for name, _ in read_all("z", packed, tmp_path)] == ["z/café.txt", "z/café.txt~2"]


def test_tar_archives_from_before_there_was_a_magic(tmp_path: Path) -> None:
    packed = bytearray(tar_of(("old", b"text"), format=tarfile.USTAR_FORMAT))
    packed[257:512] = bytes(255)
    header = with_checksum(bytearray(packed[:512]))
    assert read_all("v7", header + packed[512:], tmp_path) == [("v7/old", b"text")]
    packed[:512] = header
    packed[5] ^= 1
    assert read_all("v7", bytes(packed), tmp_path) == [("v7", bytes(packed))]


def test_tar_archives_that_follow_one_another_are_read_on(tmp_path: Path) -> None:
    packed = tar_of(("a", b"1")) + tar_of(("b", b"2"))
    assert read_all("t", packed, tmp_path) == [("t/a", b"1"), ("t/b", b"2")]
    assert read_all("t", tar_of(("a", b"1")) + b"junk", tmp_path) == [
        ("t/a", b"1"),
        ("t", Reason.CORRUPT_ARCHIVE),
    ]


def test_one_archive_may_be_in_another_and_all_be_compressed(tmp_path: Path) -> None:
    inner = {"zip": zip_of(*MEMBERS), "tar": tar_of(*MEMBERS)}
    for outer, name, kind in itertools.product((zip_of, tar_of), inner, ["", *COMPRESS]):
        packed = COMPRESS.get(kind, bytes)(inner[name])
        found = read_all(
            "o", gzip.compress(outer(("in", packed), ("log.gz", packed[:0]))), tmp_path
        )
        assert members_of(found[:-1], "o/in") == MEMBERS
        assert found[-1] == ("o/log.gz", b"")
    assert not list(tmp_path.iterdir())


def test_members_may_be_compressed_at_each_level(tmp_path: Path) -> None:
    log = ("x.jsonl.gz", gzip.compress(b"{}"))
    packed = zip_of(log, ("in.tar", tar_of(log)))
    found = read_all("o.zip", packed, tmp_path)
    assert found == [("o.zip/x.jsonl.gz", b"{}"), ("o.zip/in.tar/x.jsonl.gz", b"{}")]


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_deeper_nesting_is_refused(pack: Pack, tmp_path: Path) -> None:
    deep = pack(("1", pack(("2", pack(("3", b"text"))), ("good", b"text"))), ("good", b"text"))
    assert read_all("0", deep, tmp_path) == [
        ("0/1/2", Reason.NESTED_TOO_DEEP),
        ("0/1/good", b"text"),
        ("0/good", b"text"),
    ]
    twice = gzip.compress(gzip.compress(b"text"))
    assert read_all("0", twice, tmp_path) == [("0", Reason.NESTED_TOO_DEEP)]
    found = read_all("0", pack(("a", twice), ("b", b"text")), tmp_path)
    assert found == [("0/a", Reason.NESTED_TOO_DEEP), ("0/b", b"text")]


@pytest.mark.parametrize(
    "names",
    [
        ["mimetype", "content.xml"],
        ["[Content_Types].xml", "word/document.xml"],
        ["word/document.xml", "_rels/.rels", "[Content_Types].xml"],
        ["META-INF/MANIFEST.MF", "A.class"],
        ["A.class", "META-INF/MANIFEST.MF"],
    ],
)
def test_files_of_programs_are_no_archives_of_text(names: list[str], tmp_path: Path) -> None:
    packed = zip_of(*[(name, b"<xml/>") for name in names])
    assert read_all("x.docx", packed, tmp_path) == [("x.docx", Reason.UNSUPPORTED)]
    found = read_all("x", tar_of(("in.docx", packed), ("a", b"1")), tmp_path)
    assert found == [("x/in.docx", Reason.UNSUPPORTED), ("x/a", b"1")]


def test_ordinary_archives_with_such_names_deeper_down_are_read(tmp_path: Path) -> None:
    names = ["a.txt", "mimetype", "b/[Content_Types].xml", "c/META-INF/MANIFEST.MF"]
    found = read_all("x", zip_of(*[(name, b"1") for name in names]), tmp_path)
    assert [name for name, _ in found] == [f"x/{name}" for name in names]


@pytest.mark.parametrize(
    "data",
    [
        b"BZhang is a name",
        b"PK is short for something",
        b"PK\5\6 is how an empty one begins",
        b"x" * 257 + b"ustar is the name of a format " * 20,
        b"\0" * 10_240,
    ],
)
def test_what_only_looks_like_a_container_is_plain(data: bytes, tmp_path: Path) -> None:
    assert read_all("t", data, tmp_path) == [("t", data)]


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_folders_and_hidden_members_are_passed_over(pack: Pack, tmp_path: Path) -> None:
    hidden = [".hidden", "a/.b/c", "__MACOSX/x", "./.x", "folder/", "./"]
    members = [*[(name, b"") for name in hidden], ("./a//b", b"1"), ("a.b/c.", b"2")]
    found = read_all("x", pack(*members), tmp_path)
    assert found == [("x/a/b", b"1"), ("x/a.b/c.", b"2")]


def test_names_that_come_again_are_numbered(tmp_path: Path) -> None:
    many = [(b"a", b"1")] * 3 + [(b"a~2", b"1"), (b"./a", b"1")]
    names = [name for name, _ in read_all("x", raw_zip(many), tmp_path)]
    assert names == ["x/a", "x/a~2", "x/a~3", "x/a~2~2", "x/a~4"]
    packed = tar_of(("b.tar", tar_of(("c", b"1"))), ("b.tar/c", b"2"))
    assert [name for name, _ in read_all("x", packed, tmp_path)] == ["x/b.tar/c", "x/b.tar/c~2"]


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda *m: gzip.compress(tar_of(*m))])
@pytest.mark.parametrize("num_pieces", [0, 1, 2])
def test_what_is_not_read_is_skipped(pack: Pack, num_pieces: int, tmp_path: Path) -> None:
    members = [(f"m{number}", NOISE * (number + 1) * 3) for number in range(5)]
    found = []
    for content in open_contents("x", io.BytesIO(pack(*members)), tmp_path):
        assert isinstance(content, Content)
        found.append((content.name, content.head))
        for _ in range(num_pieces):
            next(content.pieces, None)
    assert found == [(f"x/{name}", data[:HEAD_BYTES]) for name, data in members]


def test_what_was_skipped_cannot_be_read_as_if_it_were_whole(tmp_path: Path) -> None:
    contents = open_contents("x", io.BytesIO(tar_of(("a", NOISE * 9), ("b", NOISE))), tmp_path)
    first = next(contents)
    next(contents)
    assert isinstance(first, Content)
    with pytest.raises(RuntimeError):
        list(first.pieces)


def test_progress_adds_up_to_the_size_of_the_file(tmp_path: Path) -> None:
    packed = gzip.compress(tar_of(*MEMBERS))
    for data in (NOISE * 20, packed, zip_of(*MEMBERS), tar_of(("x", zip_of(*MEMBERS)))):
        told: list[int] = []
        for found in open_contents("x", io.BytesIO(data), tmp_path, told.append):
            read_one(found)
        assert all(told)
        assert max(told) <= 2**20
        assert sum(told) == len(data) if not data.startswith(b"PK") else sum(told) <= len(data)


@pytest.mark.parametrize("pack", [tar_of, zip_of, lambda *m: gzip.compress(tar_of(*m))])
def test_trouble_with_the_disk_is_not_taken_for_the_end(pack: Pack, tmp_path: Path) -> None:
    file = FailingFile(pack(("a", NOISE * 30), ("b", NOISE)))
    contents = open_contents("x", file, tmp_path)
    content = next(contents)
    assert isinstance(content, Content)
    file.fails_at = 4_000_000
    with pytest.raises(OSError, match="no disk"):
        list(content.pieces)
    with pytest.raises(OSError, match="no disk"):
        read_one(next(contents))


def test_trouble_within_the_head_comes_from_the_pieces(tmp_path: Path) -> None:
    file = FailingFile(NOISE)
    file.fails_at = 10
    (content,) = open_contents("x", file, tmp_path)
    assert isinstance(content, Content)
    assert (content.head, content.is_all) == (b"", False)
    with pytest.raises(OSError, match="no disk"):
        list(content.pieces)
    packed = gzip.compress(b"text" * 10)[:-1]
    (content,) = open_contents("x", io.BytesIO(packed), tmp_path)
    assert isinstance(content, Content)
    assert (content.head, content.is_all) == (b"text" * 10, False)
    assert next(content.pieces) == b"text" * 10
    with pytest.raises(FileRefusedError, match="truncated_compression"):
        next(content.pieces)


def test_a_full_disk_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Full())
    packed = tar_of(("a", b"1"), ("b.zip", zip_of(("c", b"2"))))
    contents = open_contents("x", io.BytesIO(packed), tmp_path)
    assert read_one(next(contents)) == ("x/a", b"1")
    with pytest.raises(OSError, match="full"):
        next(contents)


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar")
@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_what_tar_writes_is_read(format: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, data in MEMBERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "link").symlink_to("a.txt")
    command = ["tar", "-c", f"--format={format}", "--sort=name", "-C", str(folder), "."]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    found = dict(read_all("t", packed, tmp_path))
    assert found.pop("t/link") is Reason.ARCHIVE_LINK
    assert found == {f"t/{name}": data for name, data in MEMBERS}


def test_an_archive_of_nothing_has_no_contents(tmp_path: Path) -> None:
    assert read_all("z", zip_of(), tmp_path) == []
    found = list(open_contents("z", io.BytesIO(zip_of()[:-1]), tmp_path))
    assert found == [("z", Refusal(None, Reason.CORRUPT_ARCHIVE))]
