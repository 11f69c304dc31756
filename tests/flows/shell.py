"""Many commands in one process: what each costs in a new one, imports and a server of Prefect's,
is paid once. `python -m tests.flows.shell` is that process."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from flows.cli import main


class Shell:
    """A process that runs one command of the command line after the other, as it is asked.

    For one workspace: with another, Prefect may complain about the server it had before.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.shell"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    @property
    def pid(self) -> int:
        """Of the process that runs the commands."""
        return self._process.pid

    def run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        """The status of a command and what it wrote to both streams."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the shell ended with {self._process.wait()} in {arguments}"
        return subprocess.CompletedProcess(arguments, *json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # the server is on a tether, and Prefect would take its time to end
        self._process.communicate()


@contextmanager
def written_to(stream: int) -> Iterator[IO[str]]:
    """A file in place of that stream, for children of ours too."""
    with tempfile.TemporaryFile("w+") as file:
        before = os.dup(stream)
        os.dup2(file.fileno(), stream)
        try:
            yield file
        finally:
            os.dup2(before, stream)
            os.close(before)


def serve() -> None:
    """Run what each line of standard input asks for; answer with status, stdout and stderr."""
    with os.fdopen(os.dup(0)) as questions, os.fdopen(os.dup(1), "w") as answers:
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)
        for line in questions:
            with written_to(1) as stdout, written_to(2) as stderr:
                status = main(json.loads(line))
                sys.stdout.flush()
                sys.stderr.flush()
                said = [file.seek(0) or file.read() for file in (stdout, stderr)]
            answers.write(json.dumps([status, *said]) + "\n")
            answers.flush()


if __name__ == "__main__":
    serve()
