"""Archives made to do harm do none, and nothing in them is lost in silence."""

import gzip
import io
import random
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.ingest.containers import member_names
from tasks.ingest.containers.contents import open_contents
from tasks.ingest.reading.records import Reason
from tests.tasks.ingest.archive_builders import (
    COMPRESS,
    GOOD,
    HUGE,
    TAR_END,
    info_of,
    pax_record,
    raw_header,
    raw_zip,
    read_all,
    read_one,
    special,
    tar_of,
    tar_of_infos,
    zip_of,
)

NOISE = random.Random(5).randbytes(200_000)
TEXT = b"".join(b"line %d of a text\n" % number for number in range(20_000))
Pack = Callable[..., bytes]


UNSAFE = [
    b"../up",
    b"a/../../up",
    b"a/..",
    b"/etc/passwd",
    b"//share/x",
    b"C:\\windows",
    b"c:x",
    b"..\\up",
    b"a\\..\\..\\up",
    b"\\\\server\\x",
    b"\\x",
]


@pytest.mark.parametrize("name", [*UNSAFE, b"a\0b.txt", b"x\0/../y"])
def test_names_that_lead_outside_are_refused_in_zips(name: bytes, tmp_path: Path) -> None:
    found = read_all("z", raw_zip([(name, b"bad"), (b"good", b"text")]), tmp_path)
    shown = name.replace(b"\0", b"\\x00").decode()
    assert found == [(f"z/{shown}", Reason.UNSAFE_PATH), ("z/good", b"text")]


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_lead_outside_are_refused_in_tars(name: bytes, tmp_path: Path) -> None:
    for header in (
        raw_header(name),
        special(b"L", name + b"\0") + raw_header(b"x"),
        special(b"x", pax_record(b"path", name)) + raw_header(b"x"),
    ):
        found = read_all("t", header + GOOD + TAR_END, tmp_path)
        assert found == [(f"t/{name.decode()}", Reason.UNSAFE_PATH), ("t/good", b"text")]
    with_nul = special(b"x", pax_record(b"path", b"a\0b")) + raw_header(b"x")
    assert read_all("t", with_nul + TAR_END, tmp_path) == [("t/a\\x00b", Reason.UNSAFE_PATH)]


def test_names_are_spelled_so_that_they_do_no_harm(tmp_path: Path) -> None:
    raw = [b"\x1b[31mred", b"two\nlines", b"\xe2\x80\xaetxt.exe", b"\xe9t\xe9", b"a\\b"]
    names = ["\\x1b[31mred", "two\\nlines", "\\u202etxt.exe", "\\xe9t\\xe9", "a\\b"]
    packed = b"".join(map(raw_header, raw)) + TAR_END
    assert read_all("t", packed, tmp_path) == [(f"t/{name}", b"") for name in names]
    ((name, reason),) = read_all("z", raw_zip([(b"long/" * 10_000, b"x")]), tmp_path)
    assert (len(name), reason) == (205, Reason.UNSAFE_PATH)


def wild_names(number: int) -> Iterator[bytes]:
    dice = random.Random(11)
    parts = [b"..", b".", b"", b"/", b"\\", b"C:", b"\0", b"\xff\xfe", "é".encode(), b"a" * 300]
    parts += [b"a", b"b.txt", b"~2", b"\x1b[2J", b"\n", b" ", b"__MACOSX", b".hid", b"con", b"*"]
    for _ in range(number):
        joints = dice.choices([b"/", b"\\", b""], k=5)
        chosen = dice.choices(parts, k=dice.randrange(1, 6))
        yield b"".join(part + joint for part, joint in zip(chosen, joints, strict=False))


@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_ten_thousand_wild_names_are_accounted_for(
    pack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, here = tmp_path / "1/scratch", tmp_path / "1/here"
    scratch.mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    names = list(wild_names(10_000))
    if pack == "zip":
        data = raw_zip([(name, b"x") for name in names])
    else:
        header = raw_header(b"", size=b"00000000001\0") + b"x" + bytes(511)
        data = (
            b"".join(special(b"x", pax_record(b"path", name)) + header for name in names) + TAR_END
        )
    found = read_all("w", data, scratch)
    kept, refused = [], []
    for name, content in found:
        (refused if isinstance(content, Reason) else kept).append(name)
        assert name.encode("utf-8")
        assert not set(map(ord, name)) & {*range(32), *range(127, 160)}
    members = [member_names.decode_name(name, "cp437") for name in names]
    unsafe = [name for name in members if member_names.is_unsafe(name)]
    hidden = [n for n in members if not member_names.is_unsafe(n) and member_names.is_hidden(n)]
    if pack == "zip":
        assert len(refused) == len(unsafe)
    assert len(kept) + len(refused) + len(hidden) == len(names)
    assert len(kept) > 1000
    assert all(".." not in name.replace("\\", "/").split("/") for name in kept)
    assert len(set(kept + refused)) == len(kept + refused)
    assert {path.name for path in tmp_path.rglob("*")} == {"1", "scratch", "here"}


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6"])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    members = [(info_of("link", kind, "/etc/passwd"), b""), (tarfile.TarInfo("good"), b"text")]
    found = read_all("t", tar_of_infos(*members), tmp_path)
    assert found == [("t/link", Reason.ARCHIVE_LINK), ("t/good", b"text")]


@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644])
def test_links_and_devices_are_refused_in_zips(mode: int, tmp_path: Path) -> None:
    packed = raw_zip([(b"link", b"/etc/passwd")], made_by=3 << 8, attributes=mode << 16)
    assert read_all("z", packed, tmp_path) == [("z/link", Reason.ARCHIVE_LINK)]


@pytest.mark.parametrize(
    ("method", "flags", "reason"),
    [
        (0, 1 << 0, Reason.ENCRYPTED),
        (8, 1 << 6 | 1, Reason.ENCRYPTED),
        (99, 1 << 0, Reason.ENCRYPTED),
        (9, 0, Reason.UNSUPPORTED),
        (98, 0, Reason.UNSUPPORTED),
        (0, 1 << 5, Reason.UNSUPPORTED),
    ],
)
def test_what_cannot_be_unpacked_is_refused(
    method: int, flags: int, reason: Reason, tmp_path: Path
) -> None:
    packed = raw_zip([(b"a", b"secret")], method=method, flags=flags)
    assert read_all("z", packed, tmp_path) == [("z/a", reason)]


def test_damage_to_one_member_of_a_zip_does_not_concern_the_others(tmp_path: Path) -> None:
    packed = bytearray(zip_of(("a", NOISE), ("b", NOISE), ("c", b"text")))
    packed[1000] ^= 1
    assert read_all("z", bytes(packed), tmp_path) == [
        ("z/a", Reason.CORRUPT_ARCHIVE),
        ("z/b", NOISE),
        ("z/c", b"text"),
    ]
    for field in ({"crc": 1}, {"num_bytes": 3}, {"num_bytes": 5}):
        found = read_all("z", raw_zip([(b"a", b"text")], **field), tmp_path)
        assert found == [("z/a", Reason.CORRUPT_ARCHIVE)]
    packed = bytearray(raw_zip([(b"name", b"text")]))
    packed[30:34] = b"liar"
    assert read_all("z", bytes(packed), tmp_path) == [("z/name", Reason.CORRUPT_ARCHIVE)]


def test_a_directory_of_a_zip_that_breaks_is_reported_after_the_good_members(
    tmp_path: Path,
) -> None:
    packed = bytearray(zip_of(("a", b"1"), ("b", b"2")))
    second = packed.rindex(b"PK\1\2")
    packed[second] = 0
    found = read_all("z", bytes(packed), tmp_path)
    assert found == [("z/a", b"1"), ("z", Reason.CORRUPT_ARCHIVE)]
    packed = bytearray(zip_of(("a", b"1"), ("b", b"2")))
    packed[-12] = 3  # entries that there should be
    found = read_all("z", bytes(packed), tmp_path)
    assert found == [("z/a", b"1"), ("z/b", b"2"), ("z", Reason.CORRUPT_ARCHIVE)]


def test_zips_of_the_large_kind_are_read_and_their_lies_are_not_believed(tmp_path: Path) -> None:
    def large_zip(start: int, directory_at: int, record_at: int) -> bytes:
        local = raw_zip([(b"a", b"text")])[:35]
        extra = struct.pack("<2H3Q", 1, 24, 4, 4, start)
        elsewhere = 0xFFFF_FFFF
        numbers = (45, 0, 0, 0, 0, zlib.crc32(b"text"), elsewhere, elsewhere)
        entry = struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 45, *numbers, 1, len(extra), 0, 0, 0, 0, elsewhere
        )
        entry += b"a" + extra
        record = struct.pack(
            "<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), directory_at
        )
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, record_at, 1)
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, elsewhere, elsewhere, 0)
        return local + entry + record + locator + end

    record_at = len(large_zip(0, 0, 0)) - 22 - 20 - 56
    assert read_all("z", large_zip(0, 35, record_at), tmp_path) == [("z/a", b"text")]
    for start in (1, 2**63, 2**64 - 1):
        found = read_all("z", large_zip(start, 35, record_at), tmp_path)
        assert found == [("z/a", Reason.CORRUPT_ARCHIVE)]
    for directory_at, record in ((2**64 - 1, record_at), (35, 2**64 - 1), (35, 0), (99, record_at)):
        found = read_all("z", large_zip(0, directory_at, record), tmp_path)
        assert found == [("z", Reason.CORRUPT_ARCHIVE)]


@pytest.mark.parametrize("kind", ["", *COMPRESS])
def test_a_tar_cut_anywhere_is_reported_and_no_member_is_half_read(
    kind: str, tmp_path: Path
) -> None:
    members = [("a", TEXT[:3000]), ("b", NOISE[:70_000]), ("c", TEXT[:1500])]
    packed = COMPRESS.get(kind, bytes)(tar_of(*members))
    start = 300 if not kind else 30
    for place in range(start, len(packed) - 11_000 if not kind else len(packed), 2100):
        found = read_all("t", packed[:place], tmp_path)
        *read, (name, reason) = found
        assert (name, isinstance(reason, Reason)) == ("t", True)
        for name, content in read:
            assert content is reason or content == dict(members)[name[2:]]


def test_a_zip_cut_anywhere_is_reported(tmp_path: Path) -> None:
    packed = zip_of(("a", TEXT), ("b", NOISE))
    for place in [*range(5, len(packed), len(packed) // 30), len(packed) - 1]:
        assert read_all("z", packed[:place], tmp_path) == [("z", Reason.CORRUPT_ARCHIVE)]


@pytest.mark.parametrize("pack", ["tar", "tar.gz", "zip", "zip of tar.gz", "tar of zip"])
def test_changed_bytes_end_in_nothing_but_refusals(pack: str, tmp_path: Path) -> None:
    members = [(f"m{number}", TEXT[: 100 * number]) for number in range(12)]
    packed = {
        "tar": lambda: tar_of(*members),
        "tar.gz": lambda: gzip.compress(tar_of(*members)),
        "zip": lambda: zip_of(*members),
        "zip of tar.gz": lambda: zip_of(("x", gzip.compress(tar_of(*members))), ("y", TEXT)),
        "tar of zip": lambda: tar_of(("x", zip_of(*members)), ("y", TEXT[:99])),
    }[pack]()
    dice = random.Random(9)
    seen = set()
    for _ in range(500):
        changed = bytearray(packed)
        for _ in range(dice.choice((1, 1, 2, 10))):
            near_the_end = dice.random() < 0.3
            start = len(packed) - 400 if near_the_end and "zip" in pack else 0
            changed[dice.randrange(start, len(packed))] = dice.randrange(256)
        for _, content in read_all("x", bytes(changed), tmp_path):
            if isinstance(content, Reason):
                seen.add(content)
            else:
                assert len(content) < 2**23
    assert seen & {Reason.CORRUPT_ARCHIVE, Reason.CORRUPT_COMPRESSION}


@pytest.mark.parametrize("size", [*HUGE, b"\xff" * 12, b"-0000000001\0", b"0o777777777\0"])
def test_sizes_that_cannot_be_end_the_archive(size: bytes, tmp_path: Path) -> None:
    found = read_all("t", GOOD + raw_header(b"m", size=size) + NOISE, tmp_path)
    assert found[0] == ("t/good", b"text")
    assert found[-1] == ("t", Reason.CORRUPT_ARCHIVE)
    assert {content for _, content in found[1:]} == {Reason.CORRUPT_ARCHIVE}
    for value in (b"-1", b"1e3", b"9" * 21, b""):
        pax = special(b"x", pax_record(b"size", value))
        found = read_all("t", pax + GOOD + TAR_END, tmp_path)
        assert found == [("t", Reason.CORRUPT_ARCHIVE)]


def test_sparse_members_and_unknown_kinds_are_refused_and_passed(tmp_path: Path) -> None:
    old = bytearray(raw_header(b"old", b"S", b"00000000003\0"))
    old[482] = 1
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    more, last = bytearray(512), bytearray(512)
    more[504] = 1
    new = special(b"x", pax_record(b"GNU.sparse.major", b"1") + pax_record(b"path", b"new"))
    unknown = raw_header(b"unknown", b"Q", b"00000000003\0") + b"abc" + bytes(509)
    packed = bytes(old) + more + last + b"abc" + bytes(509) + new + GOOD + unknown + GOOD + TAR_END
    assert read_all("t", packed, tmp_path) == [
        ("t/old", Reason.UNSUPPORTED),
        ("t/new", Reason.UNSUPPORTED),
        ("t/unknown", Reason.UNSUPPORTED),
        ("t/good", b"text"),
    ]
    endless = bytes(old) + bytes(more) * 4000
    assert read_all("t", endless, tmp_path) == [("t", Reason.CORRUPT_ARCHIVE)]


def test_contents_can_be_given_up_in_the_middle(tmp_path: Path) -> None:
    found = open_contents("x", io.BytesIO(tar_of(("z", zip_of(("a", NOISE))))), tmp_path)
    read_one(next(found))
    found.close()
    assert not list(tmp_path.iterdir())
