"""Files behind URIs are listed, read and watched as local ones are, and no secret is repeated."""

import hashlib
import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import RequestError
from tasks.ingest.config import IngestConfig
from tasks.ingest.places.digest_store import DigestStore
from tasks.ingest.places.digests import DigestMemory, process_memory
from tasks.ingest.places.location import is_uri, open_location, state_of
from tasks.ingest.places.paths import check_paths, find_files
from tasks.ingest.places.remote_file import BLOCK_BYTES
from tasks.ingest.places.remote_uris import shown
from tasks.ingest.places.source_errors import SourceChangedError, SourceUnreachableError
from tasks.ingest.places.sources import check_unchanged, list_sources
from tests.folders import all_bytes

KEY, SECRET = "AKIAFORTESTSONLY", "hunter2/with/slashes"


@dataclass
class S3:
    """A bucket of its own on the server, and what was asked of the server."""

    bucket: str
    client: Any
    log: list[str] = field(repr=False)

    def put(self, key: str, content: bytes | str = b"content") -> str:
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def asked(self, command: str, ask: Callable[[], Any]) -> int:
        """How many requests of this kind something makes."""
        before = len(self.log)
        ask()
        return sum(line.startswith(command) for line in self.log[before:])


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, list[str]]]:
    pytest.importorskip("flask", reason="needs moto's server")
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from moto.server import ThreadedMotoServer

    log: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            MotoRequestHandler,
            "log_request",
            lambda self, *_: log.append(f"{self.command} {self.path}"),
        )
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}", log
        server.stop()


@pytest.fixture(autouse=True)
def clean_slate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered, and nothing of the user's own environment is seen."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget()
    yield
    forget()
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def s3(
    s3_server: tuple[str, list[str]], request: pytest.FixtureRequest, monkeypatch: Any
) -> Iterator[S3]:
    import boto3

    url, log = s3_server
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bucket = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    yield S3(bucket, client, log)
    client.close()


def forget() -> None:
    """As if this were another process."""
    process_memory.cache_clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def names(*paths: str) -> list[str]:
    return [file.name for file in find_files(paths)]


def read(location: str) -> bytes:
    with open_location(location) as file:
        return file.read()


def refusal(path: str) -> str:
    """What the user is told: one line, without the secret."""
    with pytest.raises(RequestError) as caught:
        check_paths(IngestConfig(paths=[path]))
    message = str(caught.value)
    assert "\n" not in message
    assert "hunter2" not in message
    assert SECRET not in message
    assert KEY not in message
    return message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/key", True),
        ("HTTPS://host", True),
        ("memory://", True),
        ("/a/b", False),
        ("a://b", False),  # a letter is a drive
        ("./s3://x", False),
        ("data:text", False),
        ("", False),
    ],
)
def test_what_is_a_uri(text: str, expected: bool) -> None:
    assert is_uri(text) is expected


# Listing


@pytest.fixture
def tree(s3: S3) -> str:
    for key in (
        "top.txt",
        "data/b.txt",
        "data/a/one.txt",
        "data/a/two.md",
        "data/a/b/three.txt",
        "data/.hidden",
        "data/.git/config",
        "data/folder/",
        "database/other.txt",
    ):
        s3.put(key, key)
    return f"s3://{s3.bucket}"


def test_a_prefix_is_a_folder(tree: str) -> None:
    below = ["a/b/three.txt", "a/one.txt", "a/two.md", "b.txt"]
    assert names(f"{tree}/data") == names(f"{tree}/data/") == below
    assert names(f"{tree}/data/a") == ["b/three.txt", "one.txt", "two.md"]
    assert names(tree) == [f"data/{name}" for name in below] + ["database/other.txt", "top.txt"]


def test_a_key_goes_by_its_last_part(tree: str) -> None:
    (found,) = find_files([f"{tree}/data/a/one.txt"])
    assert (found.name, found.location) == ("one.txt", f"{tree}/data/a/one.txt")
    assert read(found.location) == b"data/a/one.txt"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["top.txt"]),
        ("data/*.txt", ["b.txt"]),
        ("data/*/*.txt", ["a/one.txt"]),
        ("data/**/*.txt", ["a/b/three.txt", "a/one.txt", "b.txt"]),
        ("*/a/*.md", ["data/a/two.md"]),
        ("dat*", ["data/a/b/three.txt", "data/a/one.txt", "data/a/two.md", "data/b.txt"]),
        ("data/a/o?e.[st]xt", ["one.txt"]),
        ("data/**", ["a/b/three.txt", "a/one.txt", "a/two.md", "b.txt"]),
        ("**/b/*", ["data/a/b/three.txt"]),
    ],
)
def test_globs_name_files_from_their_fixed_part(
    tree: str, pattern: str, expected: list[str]
) -> None:
    also = ["database/other.txt"] if pattern == "dat*" else []
    assert names(f"{tree}/{pattern}") == expected + also


def test_a_shallow_glob_does_not_list_what_lies_deep(tree: str, s3: S3) -> None:
    before = len(s3.log)
    assert names(f"{tree}/*/b.txt") == ["data/b.txt"]
    lists = [line for line in s3.log[before:] if "list-type" in line]
    assert lists
    assert all("delimiter=%2F" in line for line in lists)


def test_a_file_found_twice_counts_once(tree: str) -> None:
    assert names(tree, f"{tree}/data", f"{tree}/top.txt", f"{tree}/**/*.txt") == [
        "a/b/three.txt",
        "a/one.txt",
        "a/two.md",
        "b.txt",
        "database/other.txt",
        "top.txt",
    ]


def test_keys_that_would_be_odd_paths_are_only_names(s3: S3) -> None:
    keys = ["x/../../up", "x//double", "/lead", "x/./dot", "café ☕.txt", "a b+c%20#d&e=f.txt"]
    for key in keys:
        s3.put(key, key)
    found = {file.name: file.location for file in find_files([f"s3://{s3.bucket}"])}
    assert sorted(found) == sorted(keys)
    assert {name: read(location).decode() for name, location in found.items()} == {
        key: key for key in keys
    }


def test_a_key_with_wildcards_in_it_is_a_file_if_there_is_one(s3: S3) -> None:
    s3.put("data[1].txt")
    s3.put("data1.txt")
    assert names(f"s3://{s3.bucket}/data[1].txt") == ["data[1].txt"]


def test_a_key_may_also_be_a_prefix(s3: S3) -> None:
    s3.put("x", "file")
    s3.put("x/y", "below")
    assert names(f"s3://{s3.bucket}/x") == ["x", "y"]
    assert names(f"s3://{s3.bucket}/x/") == ["y"]
    assert names(f"s3://{s3.bucket}/*") == ["x", "x/y"]


def test_a_key_that_s3fs_would_misread_is_not_read(s3: S3) -> None:
    s3.put("x", "another file")
    s3.put("x?versionId=1", "this file")
    found = {source.name: source.sha256 for source in list_sources(config(f"s3://{s3.bucket}"))}
    assert found["x?versionId=1"] == "unreadable"
    assert "version" in refusal(f"s3://{s3.bucket}/x?versionId=1")


def test_many_keys_are_listed_page_by_page(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(10):
        s3.put(f"x/{number}")
    assert s3.asked("GET", lambda: names(f"s3://{s3.bucket}")) == 4
    assert len(names(f"s3://{s3.bucket}")) == len(names(f"s3://{s3.bucket}/*/*")) == 10


def test_memory_and_file_uris(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a/one.txt", "a/b/two.txt", "top.txt"):
        memory.pipe(f"/{name}", name.encode())
    assert names("memory://") == names("memory:///") == ["a/b/two.txt", "a/one.txt", "top.txt"]
    assert names("memory://*/*.txt") == ["a/one.txt"]
    assert names("memory://a", "memory:///a/one.txt") == ["b/two.txt", "one.txt"]
    assert [read(file.location) for file in find_files(["memory://a"])] == [
        b"a/b/two.txt",
        b"a/one.txt",
    ]
    (tmp_path / "a b.txt").write_text("x")
    (found,) = find_files([(tmp_path / "a b.txt").as_uri()])
    assert found.location == str(tmp_path / "a b.txt")
    assert names(f"file://localhost{tmp_path}/*.txt") == ["a b.txt"]
    assert "names a host" in refusal(f"file://me:hunter2@elsewhere{tmp_path}")


# Reading


def test_bytes_come_back_from_any_place(s3: S3) -> None:
    content = os.urandom(3 * BLOCK_BYTES + 12_345)
    location = s3.put("large.bin", content)
    with open_location(location) as file:
        assert file.seekable()
        assert file.seek(-100, os.SEEK_END) == len(content) - 100
        assert file.read(200) == content[-100:]
        assert file.read(1) == b""
        for offset in (len(content) // 2, 0, 2 * BLOCK_BYTES - 3):
            file.seek(offset)
            assert file.read(7) == content[offset : offset + 7]
            assert file.tell() == offset + 7
        file.seek(0)
        buffer = bytearray(1_000_000)
        assert file.readinto(buffer) == len(buffer)
        assert buffer + file.read() == content
    assert process_memory().digest(location) == (hashlib.sha256(content).hexdigest(), len(content))


def test_libraries_read_remote_files(s3: S3) -> None:
    packed, table = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.txt", "inside")
    pq.write_table(pa.table({"text": ["one", "two"]}), table)
    with open_location(s3.put("x.zip", packed.getvalue())) as file:
        assert zipfile.ZipFile(file).read("x.txt") == b"inside"
    with open_location(s3.put("x.parquet", table.getvalue())) as file:
        assert pq.read_table(file).to_pydict() == {"text": ["one", "two"]}
    with open_location(s3.put("short", "x")) as file, pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(file)


def test_an_empty_object(s3: S3) -> None:
    location = s3.put("empty", b"")
    assert read(location) == b""
    assert process_memory().digest(location) == (hashlib.sha256().hexdigest(), 0)


def test_workers_open_files_too(s3: S3) -> None:
    location = s3.put("x", "for the worker")
    read(location)  # the parent has its own connection by now
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(DigestMemory().digest, location).result(timeout=60)
    assert found == (hashlib.sha256(b"for the worker").hexdigest(), 14)


def test_threads_share_a_connection(s3: S3) -> None:
    expected = {f"{number}.txt": f"text {number}" for number in range(50)}
    for name, text in expected.items():
        s3.put(name, text)
    found = {source.name: source.sha256 for source in list_sources(config(f"s3://{s3.bucket}"))}
    assert found == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in expected.items()
    }


# Changes


def config(*paths: str) -> IngestConfig:
    return IngestConfig(paths=list(paths))


def test_an_object_that_changes_is_noticed(s3: S3) -> None:
    s3.put("same", "same")
    location = s3.put("x", "before")
    sources = list_sources(config(f"s3://{s3.bucket}"))
    check_unchanged(sources)
    s3.put("x", "after!")  # as long as before, within the same second
    with pytest.raises(SourceChangedError, match=f"{location} changed while"):
        check_unchanged(sources)
    assert list_sources(config(location))[0].sha256 == hashlib.sha256(b"after!").hexdigest()


def test_an_object_that_goes_is_noticed(s3: S3) -> None:
    location = s3.put("x", "before")
    sources = list_sources(config(location))
    s3.client.delete_object(Bucket=s3.bucket, Key="x")
    with pytest.raises(SourceChangedError):
        check_unchanged(sources)
    with pytest.raises(FileNotFoundError):
        state_of(location)


def test_an_object_that_is_replaced_under_a_reader(s3: S3) -> None:
    location = s3.put("x", b"a" * (3 * BLOCK_BYTES))
    with open_location(location) as file:
        assert file.read(10) == b"a" * 10
        s3.put("x", b"b" * (3 * BLOCK_BYTES))
        file.seek(2 * BLOCK_BYTES)
        with pytest.raises(SourceChangedError, match=f"{location} changed while"):
            file.read(10)


def test_nothing_is_downloaded_twice(s3: S3, tmp_path: Path) -> None:
    location = s3.put("x", "content")
    asked = config(f"s3://{s3.bucket}/x")
    gets = f"GET /{s3.bucket}/x"
    assert s3.asked(gets, lambda: list_sources(asked)) == 1
    before = list_sources(asked)
    assert s3.asked(gets, lambda: check_unchanged(before)) == 0
    assert s3.asked(gets, lambda: list_sources(asked)) == 0
    forget()
    assert s3.asked(gets, lambda: list_sources(asked)) == 0
    assert list_sources(asked) == before
    s3.put("x", "changed")
    assert s3.asked(gets, lambda: list_sources(asked)) == 1
    assert process_memory().digest(location)[0] == hashlib.sha256(b"changed").hexdigest()


def test_a_prefix_needs_one_listing_and_no_questions_for_each_object(s3: S3) -> None:
    for number in range(20):
        s3.put(f"p/{number}")
    asked = config(f"s3://{s3.bucket}/p/")
    list_sources(asked)
    assert s3.asked("", lambda: list_sources(asked)) == 1


def test_the_same_key_on_another_server_is_another_file(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = s3.put("x", "content")
    list_sources(config(location))
    forget()
    url = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", url.replace("127.0.0.1", "localhost"))
    assert s3.asked(f"GET /{s3.bucket}/x", lambda: list_sources(config(location))) == 1


def test_what_is_kept_between_runs_names_nothing(s3: S3, tmp_path: Path) -> None:
    list_sources(config(s3.put("confidential-name", "content")))
    text = (tmp_path / "cache" / "corpusmith" / "digests-v1.json").read_text()
    assert hashlib.sha256(b"content").hexdigest() in text
    for word in ("confidential", s3.bucket, "127.0.0.1", KEY, SECRET):
        assert word not in text


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"version": 2, "digests": {}}',
        b'{"version": 1, "digests": []}',
        b"[" * 100_000,
        None,
    ],
)
def test_damage_to_what_is_kept_does_no_harm(s3: S3, tmp_path: Path, damage: bytes | None) -> None:
    location = s3.put("x", "content")
    kept = tmp_path / "cache" / "corpusmith" / "digests-v1.json"
    list_sources(config(location))
    (key,) = json.loads(kept.read_text())["digests"]
    odd = {key: ["zz", 1], "k" * 32: ["0" * 64, 1], key[::-1]: ["0" * 64, -1], "x": None}
    kept.write_bytes(
        json.dumps({"version": 1, "digests": odd}).encode() if damage is None else damage
    )
    forget()
    (source,) = list_sources(config(location))
    assert source.sha256 == hashlib.sha256(b"content").hexdigest()
    assert list(json.loads(kept.read_text())["digests"]) == [key]


def test_a_cache_that_cannot_be_written_does_no_harm(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    (source,) = list_sources(config(s3.put("x", "content")))
    assert source.num_bytes == 7


def test_only_so_many_digests_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.ingest.places import digest_store
    from tasks.ingest.places.states import State

    monkeypatch.setattr(digest_store, "MAX_DIGESTS", 3)
    path = tmp_path / "digests.json"
    states = [State(("tag", str(number), 1), 0) for number in range(4)]
    first = DigestStore(path)
    for state in states[:3]:
        first.put("", "s3://b/x", state, ("0" * 64, 1))
    first.save()
    second = DigestStore(path)
    assert second.get("", "s3://b/x", states[0])  # used, so kept
    second.put("", "s3://b/x", states[3], ("1" * 64, 1))
    second.save()
    kept = [DigestStore(path).get("", "s3://b/x", state) is not None for state in states]
    assert kept == [True, False, True, True]


# Refusals


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://no-such-bucket-here", "does not exist: check bucket"),
        ("s3://no-such-bucket-here/x/*.txt", "does not exist: check bucket"),
        ("s3://{bucket}/nothing", "has no files"),
        ("s3://{bucket}/*.nothing", "has no files"),
        ("s3://{bucket}/only", "has no files"),
        ("s3://", "names no bucket"),
        ("s3:///key", "names no bucket"),
        ("s3://buck*/key", "wildcard in its first part"),
        ("s3://Not_A Bucket!/x", "cannot be used|does not exist"),
        ("nosuch://x/y", "unknown protocol"),
        ("gs://bucket/x", "gcsfs"),
        ("zip://x", "cannot be used"),
    ],
)
def test_a_uri_that_leads_nowhere(s3: S3, path: str, message: str) -> None:
    s3.put("only/.hidden")
    assert re.search(message, refusal(path.format(bucket=s3.bucket)))


@pytest.mark.parametrize(
    "path",
    [
        f"s3://{KEY}:{SECRET}@bucket/key",
        f"s3://{KEY}:hunter2@bucket/key",
        "s3://hunter2@bucket/key",
        f"s3://{KEY}:hunter2/without/at",
        "https://me:hunter2@host/x.jsonl",
        "https://me:hun/ter2@hunter2@host/x.jsonl",
        "http://hunter2@host/x.jsonl",
        "sftp://me:hunter2@host/x",
        "S3://me:hunter2@bucket/x",
        "https://host/x?X-Amz-Signature=hunter2",
        "https://host/x?a=1&sig=hunter2",
        "https://host/x?access_token=hunter2",
        "https://host/x?%74oken=hunter2",
        "https://host/x?AWSAccessKeyId=hunter2",
    ],
)
def test_secrets_in_a_uri_are_refused_and_not_repeated(path: str) -> None:
    assert "carries a" in refusal(path)
    assert "hun/ter2" not in refusal(path)


def test_an_at_sign_in_a_key_is_no_secret(s3: S3) -> None:
    assert names(s3.put("me@home:x/y")) == ["y"]


def test_wrong_credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    location = s3.put("x", "content")
    (source,) = list_sources(config(location))
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on it checks
    for path in (f"s3://{s3.bucket}", location, f"s3://{s3.bucket}/*"):
        assert "may not be read: check AWS_ACCESS_KEY_ID" in refusal(path)
    with pytest.raises(PermissionError):
        read(location)
    with pytest.raises(SourceChangedError):
        check_unchanged([source])


def test_no_credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "without credentials: set AWS_ACCESS_KEY_ID" in refusal(f"s3://{s3.bucket}")


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening, so nobody answers there
        port = taken.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:hunter2@127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        assert "cannot be reached" in refusal("s3://bucket/key")
        with pytest.raises(SourceUnreachableError, match="cannot be reached"):
            open_location("s3://bucket/key")
        assert "cannot be reached" in refusal(f"http://127.0.0.1:{port}/x")


@pytest.mark.parametrize(
    ("protocol", "module", "advice"),
    [
        ("s3", "s3fs", "needs s3fs: pip install 'corpusmith[s3]'"),
        ("https", "aiohttp", "needs aiohttp: pip install aiohttp"),
    ],
)
def test_a_library_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, protocol: str, module: str, advice: str
) -> None:
    loaded = sys.modules["fsspec.registry"]._registry
    with monkeypatch.context() as patch:
        patch.delitem(loaded, protocol, raising=False)
        patch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
        patch.setitem(sys.modules, module, None)
        assert advice in refusal(f"{protocol}://bucket/x")


# The web


class Web(BaseHTTPRequestHandler):
    """Serves what `content` says, in the manner that the first part of the path says."""

    protocol_version = "HTTP/1.1"
    content: bytes
    tag: str | None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        manner = self.path.split("/")[1]
        if manner.isdigit():
            self._answer(int(manner), b"")
        elif manner == "private" and not self.headers.get("Authorization"):
            self._answer(401, b"")
        elif manner == "endless":  # a length is not said
            self._answer(200, self.content, length=False)
        elif manner == "short":
            self._answer(200, self.content, missing=1)
            self.close_connection = True
        elif manner == "ranged" and (wanted := self.headers.get("Range")):
            start, end = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            self._answer(206, self.content[start : end + 1], start=start)
        else:
            self._answer(200, self.content)

    def _answer(
        self, status: int, body: bytes, *, length: bool = True, missing: int = 0, start: int = 0
    ) -> None:
        self.send_response(status)
        if length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        if status == 206:
            total = len(self.content)
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{total}")
        if self.tag:
            self.send_header("ETag", self.tag)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) - missing])

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def web() -> Iterator[tuple[str, type[Web]]]:
    handler = type("_Web", (Web,), {"content": b"hello", "tag": '"1"'})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


@pytest.mark.parametrize("num_bytes", [0, 5, BLOCK_BYTES, 3 * BLOCK_BYTES + 5])
@pytest.mark.parametrize("manner", ["plain", "ranged", "endless"])
def test_files_of_the_web(web: tuple[str, type[Web]], manner: str, num_bytes: int) -> None:
    url, handler = web
    handler.content = os.urandom(num_bytes)
    location = f"{url}/{manner}/some%20file.bin"
    assert names(f"{location}?download=1#top") == ["some file.bin"]
    with open_location(location) as file:
        file.seek(-3, os.SEEK_END) if num_bytes else None
        assert file.read() == handler.content[-3:]
        file.seek(0)
        assert file.read() == handler.content
    assert process_memory().digest(location) == (
        hashlib.sha256(handler.content).hexdigest(),
        num_bytes,
    )


def test_a_password_for_the_web_is_read_from_netrc(
    web: tuple[str, type[Web]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "may not be read: check the credentials in ~/.netrc" in refusal(f"{web[0]}/private/x")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert read(find_files([f"{web[0]}/private/x"])[0].location) == b"hello"


def test_a_file_of_the_web_that_changes(web: tuple[str, type[Web]]) -> None:
    url, handler = web
    sources = list_sources(config(f"{url}/ranged/x"))
    check_unchanged(sources)
    handler.content, handler.tag = b"other", '"2"'
    with pytest.raises(SourceChangedError):
        check_unchanged(sources)


@pytest.mark.parametrize("tag", [None, 'W/"1"'])
def test_a_server_that_says_nothing_reliable(web: tuple[str, type[Web]], tag: str | None) -> None:
    url, handler = web
    handler.tag = tag
    sources = list_sources(config(f"{url}/ranged/x"))
    assert state_of(sources[0].location) is None
    handler.content = b"other"
    with pytest.raises(SourceChangedError):
        check_unchanged(sources)


def test_a_transfer_that_breaks_off_is_no_shorter_file(
    web: tuple[str, type[Web]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.ingest.places import remote_file

    monkeypatch.setattr(remote_file, "_WAITS_S", (0.01, 0.01))
    url, handler = web
    for num_bytes in (5, 2 * BLOCK_BYTES):
        handler.content = bytes(num_bytes)
        with pytest.raises(SourceUnreachableError):
            list_sources(config(f"{url}/short/x"))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("404", "does not exist"),
        ("403", "may not be read"),
        ("503", "cannot be reached"),
        ("400", "cannot be used|does not exist"),
    ],
)
def test_refusals_of_the_web(web: tuple[str, type[Web]], status: str, message: str) -> None:
    assert re.search(message, refusal(f"{web[0]}/{status}/x"))


# Cost


def test_local_paths_need_no_library_for_remote_ones(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    code = (
        "import sys; from tasks.ingest.places.sources import list_sources;"
        "from tasks.ingest.config import IngestConfig;"
        f"list_sources(IngestConfig(paths=[{str(tmp_path)!r}]));"
        "sys.exit(bool({'fsspec', 's3fs', 'aiohttp', 'botocore'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_location_is_shown_on_one_line() -> None:
    assert shown("/a/b.txt") == "/a/b.txt"
    assert shown("/a\nb/\udce9") == r"/a\nb/\udce9"


logging.getLogger("werkzeug").setLevel(logging.ERROR)


def test_a_corpus_from_a_bucket(s3: S3, tmp_path: Path, ingest: Any) -> None:
    """The same artifact as from a folder; a second ingest reads only the object that changed."""
    rows = {
        f"t{part}.jsonl": "".join(
            json.dumps({"id": f"{part}-{n}", "text": f"text {n} of part {part}"}) + "\n"
            for n in range(60)
        )
        for part in range(3)
    }
    local = tmp_path / "corpus"
    local.mkdir()
    for name, content in rows.items():
        s3.put(f"corpus/{name}", content)
        (local / name).write_text(content)
    place = f"s3://{s3.bucket}/corpus"
    first = ingest(place, fill=False)
    assert all_bytes(first.folder) == all_bytes(ingest(local, fill=False).folder)
    more = rows["t1.jsonl"] + json.dumps({"id": "new", "text": "one more text"}) + "\n"
    s3.put("corpus/t1.jsonl", more)
    s3.log.clear()
    again = ingest(place, fill=False, earlier=first)
    assert again.metrics["num_added"] == 1
    got = {line.split("?")[0] for line in s3.log if line.startswith("GET") and ".jsonl" in line}
    assert got == {f"GET /{s3.bucket}/corpus/t1.jsonl"}
