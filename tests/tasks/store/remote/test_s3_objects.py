"""Files stream up and down whole, conditions are kept to, and failures are told without secrets."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model.errors import ArtifactError, CorpusmithError, RequestError
from tasks.store.errors import StorageError
from tasks.store.remote.location import parse_location
from tasks.store.remote.opening import ignored_condition
from tasks.store.remote.s3_objects import S3Objects
from tasks.store.workspace import Workspace
from tests.bucket_fixtures import Shared
from tests.s3_server import KEY, SECRET

CONFLICT = (409, "ConditionalRequestConflict")
TAKEN = (412, "PreconditionFailed")
DONE = (200, "")


@contextmanager
def scripted(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str]) -> Iterator[list[str]]:
    """A server that gives these answers to writes, the last one for ever; and what was asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # or clients wait a second for leave to go on

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(f"PUT {self.headers.get('If-None-Match')}")
            self.answer(*(left.pop(0) if len(left) > 1 else left[0]))

        def do_GET(self) -> None:
            asked.append("GET")
            self.answer(404, "NoSuchKey")

        def do_DELETE(self) -> None:
            self.answer(200, "")

        def answer(self, status: int, code: str) -> None:
            body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
            body = body if code else b""
            self.send_response(status)
            self.send_header("ETag", '"tag"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("num_bytes", [0, 1, 11 * 2**20])
def test_a_file_comes_back_as_it_was_sent(shared: Shared, tmp_path: Path, num_bytes: int) -> None:
    content = os.urandom(num_bytes)
    (tmp_path / "file").write_bytes(content)
    objects = S3Objects(parse_location(shared.url), part_bytes=5 * 2**20)
    objects.upload("a/ü b", tmp_path / "file", hashlib.sha256(content).hexdigest())
    chunks = objects.chunks("a/ü b")
    assert chunks is not None
    assert b"".join(chunks) == content
    assert objects.size_of("a/ü b") == num_bytes
    assert [found.key for found in objects.listed("a/")] == ["a/ü b"]
    assert objects.folders("") == ["a"]


def test_a_large_file_that_changed_leaves_nothing(shared: Shared, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(11 * 2**20))
    objects = S3Objects(parse_location(shared.url), part_bytes=5 * 2**20)
    with pytest.raises(ArtifactError, match="changed while it was sent"):
        objects.upload("a", tmp_path / "file", "0" * 64)
    assert objects.size_of("a") is None
    assert list(objects.unfinished()) == []


def test_sending_and_fetching_hold_no_file_in_memory(shared: Shared, tmp_path: Path) -> None:
    script = """
import hashlib, resource, sys
from pathlib import Path
from tasks.store.manifest import FileEntry
from tasks.store.remote.bucket import Bucket
from tasks.store.remote.transfers import fetch, send
folder, entry = Path(sys.argv[2]), FileEntry.model_validate_json(sys.argv[3])
bucket = Bucket(sys.argv[1])
bucket.objects.put("warm", b"up")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
send(bucket, "vocab", "x", folder, [entry])
assert fetch(bucket, "vocab", "x", folder / "back", [entry]) == {}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    num_bytes = 48 * 2**20
    with (tmp_path / "file").open("wb") as file:
        file.truncate(num_bytes)
    digest = hashlib.sha256(bytes(num_bytes)).hexdigest()
    entry = json.dumps({"name": "file", "bytes": num_bytes, "sha256": digest})
    done = subprocess.run(
        [sys.executable, "-c", script, shared.url, str(tmp_path), entry],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 44, "MiB more, for a file of 48"


def test_a_conflict_is_tried_again(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(monkeypatch, CONFLICT, CONFLICT, DONE) as asked:
        assert shared.objects.create("a", b"x") == '"tag"'
    assert asked == ["PUT *"] * 3


def test_taken_it_is_looked_at_and_given_up(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(monkeypatch, TAKEN) as asked:
        assert shared.objects.create("a", b"x") is None
    assert asked == ["PUT *", "GET"]


def test_our_own_write_whose_answer_got_lost_counts(shared: Shared) -> None:
    assert shared.objects.create("a", b"x")
    assert shared.objects.create("a", b"x"), "the same bytes: the client has asked twice"
    assert shared.objects.create("a", b"y") is None


def test_opening_makes_a_workspace_and_says_so_to_the_next(shared: Shared) -> None:
    assert ignored_condition(shared.objects) is None
    made = Workspace.open(f"{shared.url}/new/")
    assert made.location == f"{shared.url}/new"
    assert Workspace.open_existing(made.location) == made
    assert shared.names("new/") == ["new/workspace.json"], "what was tried is gone"
    assert made.state.is_dir()
    assert not made.state.is_relative_to(made.path)
    shared.overwrite("new/workspace.json", b'{"format_version": 99}')
    with pytest.raises(RequestError, match="format 99"):
        Workspace.at(made.location)


def test_a_server_that_ignores_conditions_is_refused(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        scripted(monkeypatch, DONE),  # it says of the format file that there is none
        pytest.raises(RequestError, match="server ignores If-None-Match") as caught,
    ):
        Workspace.open(shared.url)
    assert shared.url in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((403, "AccessDenied"), r"not permitted \(AccessDenied\)"),
        ((404, "NoSuchBucket"), "there is no such bucket"),
        ((503, "SlowDown"), r"the server fails \(SlowDown, 503\)"),
        ((501, "NotImplemented"), "cannot do what a workspace needs"),
    ],
)
def test_what_fails_is_told_in_one_line_without_secrets(
    shared: Shared, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str], message: str
) -> None:
    with (
        scripted(monkeypatch, answer),
        pytest.raises(CorpusmithError, match=message) as caught,
    ):
        Workspace.open(shared.url)
    assert shared.url in str(caught.value)
    for secret in (SECRET, KEY, "\n"):
        assert secret not in str(caught.value)


def test_a_missing_bucket_or_key_or_server_is_named(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match=r"s3://no-such/x.*: there is no such bucket"):
        Workspace.open("s3://no-such/x")
    with pytest.raises(RequestError, match=r"there is no workspace at s3://"):
        Workspace.open_existing(f"{shared.url}/none")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"cannot be reached .*AWS_ENDPOINT_URL"):
        Workspace.open(shared.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(RequestError, match="no credentials: set AWS_ACCESS_KEY_ID"):
        Workspace.open(shared.url)


@pytest.mark.parametrize(
    "location", ["s3://", "s3://B", "s3:///x", "s3://bucket/../x", "s3://bucket/a\nb", "s3://b?c/d"]
)
def test_what_is_no_address_is_refused(location: str) -> None:
    with pytest.raises(RequestError, match="workspace"):
        Workspace.open(location)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(RequestError, match="AWS_SECRET_ACCESS_KEY") as caught:
        Workspace.open("s3://user:hunter2@host/bucket")
    assert "hunter2" not in str(caught.value)


def test_without_botocore_it_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['botocore.config'] = None\n"
        "from tasks.store.workspace import Workspace\n"
        "Workspace.open('s3://bucket/x')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 'pip install "corpusmith[s3]"' in done.stderr.splitlines()[-1]


def test_local_workspaces_load_nothing_of_it(tmp_path: Path) -> None:
    script = (
        "import sys; from tasks.store.store import Store; import flows.commands\n"
        "from tasks.store.workspace import Workspace\n"
        f"Store(Workspace.open({str(tmp_path / 'w')!r})).verify_all()\n"
        "print([name for name in sys.modules if name.startswith(('boto', 's3fs', 'urllib3'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
