"""A bucket for each test, and machines that share nothing but it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.store.lease import Pace
from tasks.store.remote import s3_objects
from tasks.store.remote.location import parse_location
from tasks.store.remote.s3_objects import S3Objects
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.s3_server import client_of, s3_environment, s3_server
from tests.tasks.store.making import Listener

QUICK = Pace(beat_s=0.05, patience_s=0.4)


@dataclass
class Shared:
    """A workspace in a bucket, and who works there.

    Attributes:
        url: of the workspace.
        bucket: its name.
        client: to look past the store.
        open: a store on a machine of that name; each has folders of its own.
        warnings: all that the stores said.
    """

    url: str
    bucket: str
    client: Any
    open: Callable[[str], Store]
    warnings: Listener = field(default_factory=Listener)

    @property
    def objects(self) -> S3Objects:
        return S3Objects(parse_location(self.url))

    def names(self, prefix: str = "") -> list[str]:
        """Of all objects of the workspace, below it."""
        return [found.key for found in self.objects.listed(prefix)]

    def overwrite(self, key: str, content: bytes) -> None:
        """Damage an object where it lies."""
        self.client.put_object(Bucket=self.bucket, Key=f"deep/ws/{key}", Body=content)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def shared(
    server: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_environment(server, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CORPUSMITH_CACHE", raising=False)
    warnings = Listener()

    def open_on(machine: str) -> Store:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        return Store(Workspace.open(url), warn=warnings.append, say=Listener(), pace=QUICK)

    bucket = "b-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    url = f"s3://{bucket}/deep/ws"
    client = client_of(server)
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="deep/ws/workspace.json", Body=b'{"format_version": 1}')
    monkeypatch.setattr(s3_objects, "_CONFLICT_WAIT_S", 0.01)
    monkeypatch.setattr("tasks.store.remote.transfers._WAIT_S", 0.01)
    monkeypatch.setattr("tasks.store.remote.lease_object.ObjectSeat.poll_s", 0.05)
    yield Shared(url, bucket, client, open_on, warnings)
    client.close()
