"""Archives that would take all memory, disk or time are stopped early."""

import gzip
import io
import random
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.ingest.containers import contents, member_names
from tasks.ingest.containers.contents import open_contents
from tasks.ingest.reading.records import FileRefusedError, Reason
from tests.tasks.ingest.archive_builders import (
    GOOD,
    HUGE,
    TAR_END,
    pax_record,
    raw_header,
    raw_zip,
    read_all,
    special,
    tar_of,
    zip_of,
)

NOISE = random.Random(5).randbytes(200_000)


@contextmanager
def small_and_quick(max_bytes: int = 16 * 2**20, max_s: float = 30) -> Iterator[None]:
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < max_bytes
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < max_s


def count_bytes(name: str, data: bytes, scratch: Path) -> tuple[int, list[tuple[str, Reason]]]:
    """How much comes out, without holding it, and what is refused."""
    num_bytes, refused = 0, []
    for found in open_contents(name, io.BytesIO(data), scratch):
        if isinstance(found, tuple):
            refused.append((found[0], found[1].reason))
            continue
        try:
            for piece in found.pieces:
                num_bytes += len(piece)
        except FileRefusedError as error:
            refused.append((found.name, error.refusal.reason))
    return num_bytes, refused


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_special_headers_that_claim_gigabytes_allocate_nothing(
    size: bytes, kind: bytes, tmp_path: Path
) -> None:
    packed = GOOD + raw_header(b"huge", kind, size) + bytes(8 * 2**20) + TAR_END
    with small_and_quick(max_bytes=4 * 2**20):
        found = read_all("t", packed, tmp_path)
    assert found == [("t/good", b"text"), ("t", Reason.CORRUPT_ARCHIVE)]


@pytest.mark.parametrize(
    "data",
    [
        b"0 path=x\n",
        b"5 path=x\n",
        b"99 path=x\n",
        b"10 path=xy",
        b"path=x\n",
        b"9" * 500_000,
        b"9" * 4000 + b" path=x\n",
    ],
)
def test_nonsense_in_pax_headers_ends_the_archive_at_once(data: bytes, tmp_path: Path) -> None:
    with small_and_quick():
        found = read_all("t", GOOD + special(b"x", data) + GOOD + TAR_END, tmp_path)
    assert found == [("t/good", b"text"), ("t", Reason.CORRUPT_ARCHIVE)]


def test_chains_of_special_headers_take_no_memory(tmp_path: Path) -> None:
    name = special(b"L", b"n" * 2**19)
    records = special(b"x", pax_record(b"comment", b"c" * 99) * 5000)
    everywhere = b"".join(special(b"g", pax_record(b"k%d" % k, b"v" * 99)) for k in range(3000))
    packed = name * 60 + records * 10 + everywhere + GOOD + TAR_END
    with small_and_quick():
        ((unsafe, reason),) = read_all("t", packed, tmp_path)
    assert reason is Reason.UNSAFE_PATH  # for its length
    assert len(unsafe) < 300
    for end in (special(b"L", b"n") + TAR_END, special(b"x", pax_record(b"path", b"n")) + TAR_END):
        found = read_all("t", GOOD + end, tmp_path)
        assert found == [("t/good", b"text"), ("t", Reason.CORRUPT_ARCHIVE)]
    meddling = special(b"g", pax_record(b"path", b"everyone"))
    assert read_all("t", meddling + GOOD + TAR_END, tmp_path) == [("t", Reason.UNSUPPORTED)]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_in_a_zip_is_stopped_and_the_rest_is_read(method: int, tmp_path: Path) -> None:
    packed = zip_of(("bomb", bytes(64 * 2**20)), ("good", NOISE), method=method)
    with small_and_quick(max_bytes=24 * 2**20):
        num_bytes, refused = count_bytes("z", packed, tmp_path)
    assert refused == [("z/bomb", Reason.COMPRESSION_BOMB)]
    assert num_bytes < 20 * 2**20 + len(NOISE)


def test_members_that_share_their_bytes_stop_the_archive(tmp_path: Path) -> None:
    packed = raw_zip([(b"a", NOISE)], times=1000)
    num_bytes, refused = count_bytes("z", packed, tmp_path)
    assert refused == [("z", Reason.COMPRESSION_BOMB)]
    assert num_bytes == len(NOISE)


@pytest.mark.parametrize("nest", ["zip", "zip of gz", "zip of zip", "tar.gz of gz", "gz of zip"])
def test_many_small_bombs_are_stopped_together(nest: str, tmp_path: Path) -> None:
    zeros = bytes(8 * 2**20 - 1)  # so much is allowed at any ratio
    gz = gzip.compress(zeros)
    members = [(f"m{number}", zeros) for number in range(40)]
    packed = {
        "zip": lambda: zip_of(*members),
        "zip of gz": lambda: zip_of(*[(f"m{number}", gz) for number in range(400)]),
        "zip of zip": lambda: zip_of(("in", zip_of(*members)), ("x", b"text")),
        "tar.gz of gz": lambda: gzip.compress(tar_of(*[(name, gz) for name, _ in members])),
        "gz of zip": lambda: gzip.compress(zip_of(*members)),
    }[nest]()
    with small_and_quick():
        num_bytes, refused = count_bytes("x", packed, tmp_path)
    assert refused[-1] == ("x", Reason.COMPRESSION_BOMB)
    assert num_bytes <= max(8 * 2**20, 250 * len(packed))
    assert not list(tmp_path.iterdir())


def test_a_bomb_around_a_tar_stops_it_after_the_good_members(tmp_path: Path) -> None:
    packed = gzip.compress(tar_of(("good", b"text"), ("bomb", bytes(100 * 2**20))))
    with small_and_quick():
        num_bytes, refused = count_bytes("t", packed, tmp_path)
    assert refused == [("t/bomb", Reason.COMPRESSION_BOMB), ("t", Reason.COMPRESSION_BOMB)]
    assert num_bytes < 32 * 2**20


def test_a_zip_with_very_many_members_takes_little_memory(tmp_path: Path) -> None:
    packed = raw_zip([(b"%06d" % number, b"") for number in range(15_000)])
    with small_and_quick(max_bytes=4 * 2**20):
        num_found = sum(1 for _ in open_contents("z", io.BytesIO(packed), tmp_path))
    assert num_found == 15_000


def test_more_members_than_can_be_told_apart_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents.UniqueNames, "MAX_NAMES", 3)
    found = read_all("t", GOOD * 5 + TAR_END, tmp_path)
    assert [name for name, _ in found] == ["t/good", "t/good~2", "t/good~3", "t"]
    assert found[-1][1] is Reason.TOO_LONG


def test_numbers_of_names_are_found_in_little_time() -> None:
    names = member_names.UniqueNames()
    with small_and_quick(max_bytes=2**22):
        claimed = [names.claim("same") for _ in range(5000)]
    assert claimed == ["same", *[f"same~{number}" for number in range(2, 5001)]]
