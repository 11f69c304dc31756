"""Texts that a setting names: found in any place and container, passed over, or refused aloud."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model.errors import CorpusError, RequestError
from tasks.named_texts import MAX_LINE_BYTES, named_digests, read_named

SETTING = "probe.conllu"


def is_wanted(name: str, head: bytes) -> bool:
    return head.startswith(b"yes") or ".wanted" in name


def found(*paths: Path | str) -> dict[str, list[bytes]]:
    texts = read_named([str(path) for path in paths], SETTING, is_wanted)
    return {name: list(lines) for name, lines in texts}


def packed_tar(data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("a/b.txt")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def packed_zip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.txt", data)
        archive.writestr("a/other.txt", b"no")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "pack", "shown"),
    [
        ("b.txt", bytes, "b.txt"),
        ("b.txt.gz", gzip.compress, "b.txt.gz"),
        ("a.tar.gz", packed_tar, "a.tar.gz/a/b.txt"),
        ("a.zip", packed_zip, "a.zip/a/b.txt"),
    ],
)
def test_a_text_is_found_whatever_it_is_packed_in(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes], shown: str
) -> None:
    (tmp_path / name).write_bytes(pack(b"yes\r\n\ntwo"))
    assert found(tmp_path / name) == {shown: [b"yes", b"", b"two"]}
    assert found(tmp_path) == {shown: [b"yes", b"", b"two"]}
    assert found(f"{tmp_path}/*{name[-3:]}") == {shown: [b"yes", b"", b"two"]}


def test_what_is_not_wanted_is_passed_over_even_if_it_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# no")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (tmp_path / "paper.docx").write_bytes(packed_zip(b"no"))
    (tmp_path / "b").write_text("yes")
    assert found(tmp_path) == {"b": [b"yes"]}


def test_other_encodings_come_in_utf8_and_bad_bytes_stay_in_their_line(tmp_path: Path) -> None:
    (tmp_path / "wide").write_bytes("yes é".encode("utf-16"))
    (tmp_path / "bad").write_bytes(b"yes \xc3\xa9\n\xff\n" + "é é é".encode())
    texts = found(tmp_path)
    assert texts["wide"] == ["yes é".encode()]
    assert [line.decode("utf-8", "replace") for line in texts["bad"]] == ["yes é", "�", "é é é"]


def test_a_wanted_file_that_breaks_is_refused_with_the_setting_and_its_name(tmp_path: Path) -> None:
    whole = gzip.compress(b"yes\n" + bytes(range(32, 127)) * 999)
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    with pytest.raises(CorpusError, match=r"probe\.conllu: cut\.gz cannot be read \(truncated"):
        found(tmp_path)


def test_a_wanted_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wanted").write_bytes(b"\0\x81\x93" * 999)
    with pytest.raises(CorpusError, match=r"x\.wanted cannot be read \(unknown encoding\)"):
        found(tmp_path)


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"yes\n" + b"a" * (MAX_LINE_BYTES + 1))
    with pytest.raises(CorpusError, match="long, line 2 is longer than 1,048,576 bytes"):
        found(tmp_path)


def test_a_path_that_leads_nowhere_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"probe\.conllu: path .* does not exist"):
        found(tmp_path / "nowhere")


def test_digests_are_of_names_and_contents_not_of_places(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text("yes")
    first, second = (named_digests([str(tmp_path / name)], SETTING) for name in ("one", "two"))
    assert first == second
    assert [name for name, _ in first] == ["a"]
    (tmp_path / "two" / "a").write_text("yes.")
    assert named_digests([str(tmp_path / "two")], SETTING) != first
