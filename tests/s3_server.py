"""A local S3 server for tests, and an environment that leads to it and to nothing else."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "AKIAFORTESTSONLY", "hunter2/with/slashes"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Its URL. Buckets of all such servers of this process are the same."""
    pytest.importorskip("flask", reason="needs moto's server")
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from moto.server import ThreadedMotoServer

    writing, answer = threading.Lock(), MotoRequestHandler.run_wsgi

    def one_write_at_a_time(self: Any) -> None:
        """As S3 promises: moto looks whether a condition holds, and then writes."""
        with writing if self.command == "PUT" else contextlib.nullcontext():
            answer(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MotoRequestHandler, "log_request", lambda *_: None)
        patch.setattr(MotoRequestHandler, "run_wsgi", one_write_at_a_time)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def s3_environment(url: str, home: Path) -> dict[str, str]:
    """Who we are and where the server is, and a machine's own folders below `home`."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
    }


def client_of(url: str) -> Any:
    """A plain client, to look at and to damage what is in a bucket."""
    import boto3

    return boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
