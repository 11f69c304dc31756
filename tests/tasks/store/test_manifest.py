"""A manifest says what was written, and notices every bit that changed since."""

import hashlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import ArtifactError, CorpusmithError
from tasks.store.errors import FormatError
from tasks.store.identity import Identity
from tasks.store.manifest import (
    FileEntry,
    InputEntry,
    Manifest,
    content_id_of,
    parse_manifest,
    render_manifest,
)
from tests.tasks.store.making import resealed


def manifest(**information: Any) -> Manifest:
    files = tuple(
        FileEntry(name=name, bytes=len(name), sha256=hashlib.sha256(name.encode()).hexdigest())
        for name in ("a.txt", "deep/ü.bin")
    )
    return Manifest(
        identity=Identity(stage="vocab", version=1, settings={"k": 1}, inputs={"ingest": "a" * 32}),
        inputs={"ingest": InputEntry(input_id="a" * 32, content_id="b" * 32)},
        files=files,
        information={"host": "here", "seal": "decoy", **information},
    )


RAW = render_manifest(manifest())


def test_it_reads_back_as_it_was() -> None:
    assert parse_manifest(RAW, "m") == manifest()


@given(st.integers(0, len(RAW) * 8 - 1))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    damaged = bytearray(RAW)
    damaged[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ArtifactError, match="m "):
        parse_manifest(bytes(damaged), "m")


@given(st.integers(0, len(RAW) - 1))
def test_a_truncated_one_is_noticed(length: int) -> None:
    with pytest.raises(ArtifactError):
        parse_manifest(RAW[:length], "m")


@given(st.binary(max_size=200))
def test_whatever_else_lies_there_is_no_manifest(raw: bytes) -> None:
    with pytest.raises(ArtifactError):
        parse_manifest(raw, "m")


def test_deeply_nested_junk_is_no_manifest() -> None:
    with pytest.raises(ArtifactError):
        parse_manifest(b"[" * 200_000, "m")


def test_one_of_a_newer_format_is_named_as_such() -> None:
    with pytest.raises(FormatError, match="needs version 2"):
        parse_manifest(resealed(RAW, format_version=2, novelty=[]), "m")


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/../../b", "", "nul\0"], ids=repr)
def test_no_file_leaves_the_folder(name: str) -> None:
    entry = {"name": name, "bytes": 0, "sha256": "1" * 64}
    with pytest.raises(ArtifactError, match="is not a manifest"):
        parse_manifest(resealed(RAW, files=[entry]), "m")


def test_a_content_id_that_is_not_of_its_files_is_refused() -> None:
    with pytest.raises(ArtifactError, match="another content"):
        parse_manifest(resealed(RAW, content_id="0" * 32), "m")


def test_content_is_what_is_in_the_files_and_nothing_else() -> None:
    assert manifest(host="elsewhere", created_at="then").content_id == manifest().content_id
    first, second = manifest().files
    assert content_id_of((second, first)) == manifest().content_id
    for other in (
        (first,),
        (first, second.model_copy(update={"name": "deep/u.bin"})),
        (first, second.model_copy(update={"bytes": 1})),
        (first, second.model_copy(update={"sha256": "0" * 64})),
    ):
        assert content_id_of(other) != manifest().content_id


def test_a_metric_that_is_not_finite_is_refused_by_name() -> None:
    with pytest.raises(CorpusmithError, match=r"information\.metrics\.loss"):
        render_manifest(manifest(metrics={"loss": math.nan}))
