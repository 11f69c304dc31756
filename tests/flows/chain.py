"""Runs the command line on a small corpus the way a user does, for the tests of whole flows."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.flows.shell import Shell

QUICK = """
    --vocab.vocab-size 512 --tokenize.row-tokens 64 --pretrain.size tiny --pretrain.num-layers 2
    --pretrain.hidden-size 64 --pretrain.num-heads 2 --pretrain.intermediate-size 96
    --pretrain.max-steps 24 --tune.max-steps 8 --tune.documents-per-batch 16
    --probe.num-documents 40 --probe.num-examples 60 --probe.num-labelled-documents 60
    --evaluate.min-words 5 --evaluate.num-resamples 100
    --evaluate.word2vec-epochs 2 --evaluate.doc2vec-epochs 2
""".split()

LABEL = ("--ingest.label-column", "topic")


@dataclass
class Chain:
    """A corpus and a workspace, with the settings that make a run quick.

    Attributes:
        environment: where the servers are, if a run is not to bring its own.
        shell: what runs the commands; without one, each has a process of its own.
    """

    corpus: Path
    workspace: Path
    environment: dict[str, str] = field(default_factory=dict)
    shell: Shell | None = None

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows", *arguments, "--workspace", str(self.workspace)]

    def run(self, command: str = "run", *more: str) -> dict[str, Any]:
        """The answer of a run, or of a stage, that must succeed."""
        return self.answer(command, str(self.corpus), *QUICK, *LABEL, *more)

    def answer(self, *arguments: str) -> dict[str, Any]:
        """The one JSON object a command prints."""
        done = self.try_(*arguments, "--json")
        assert done.returncode == 0, done.stderr[-4000:]
        [line] = done.stdout.splitlines()
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def try_(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if self.shell:
            return self.shell.run([*arguments, "--workspace", str(self.workspace)])
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            env=plain() | self.environment,
        )

    def start(self, *more: str) -> subprocess.Popen[str]:
        """A run in the background."""
        arguments = ["run", str(self.corpus), *QUICK, *LABEL, *more]
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain() | self.environment,
        )

    def wait_for(self, pattern: str, process: subprocess.Popen[str], seconds: float = 200) -> Path:
        """The first path below the workspace that matches, as soon as it exists."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            for path in self.workspace.glob(pattern):
                return path
            time.sleep(0.02)
        raise AssertionError(f"no {pattern} before the run ended: {process.communicate()}")


def as_config(corpus: Path, options: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the options of a command line mean, as a flow's parameter ``config``."""
    pairs = iter(options)
    config: dict[str, dict[str, Any]] = {"ingest": {"paths": [str(corpus)]}}
    for option, value in zip(pairs, pairs, strict=True):
        section, key = option.removeprefix("--").replace("-", "_").split(".")
        config.setdefault(section, {})[key] = int(value) if value.isdigit() else value
    return config


def copy_prefect(home: Path, to: Path) -> Path:
    """A copy of Prefect's folder, whole also while a server that ends is writing to it."""
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("prefect.db*"), dirs_exist_ok=True)
    with (
        closing(sqlite3.connect(home / "prefect.db")) as database,
        closing(sqlite3.connect(to / "prefect.db")) as copied,
    ):
        database.backup(copied)
    return to


def plain() -> dict[str, str]:
    """The environment without servers that a developer may have set."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "MLFLOW"))
    }


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL the run itself, as an out-of-memory killer does; what it started is left behind."""
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
