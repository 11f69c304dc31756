"""Runs the ingest stage alone, in a process of its own, for the benchmarks."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.stage import StageContext


class SilentReporter:
    """Takes what a stage says and lets it go."""

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Nothing."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """Nothing."""

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""

    def warning(self, text: str) -> None:
        """Into the standard error."""
        sys.stderr.write(text + "\n")


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` as a key and a value: JSON where it is JSON, else a string."""
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def main() -> None:
    """Arguments: a path to ingest, a folder to make, and settings as key=value."""
    path, output, *settings = sys.argv[1:]
    config = IngestConfig(paths=[path], **dict(map(parse_setting, settings)))
    Path(output).mkdir(parents=True)
    metrics = INGEST.run(StageContext(config, {}, Path(output), SilentReporter()))
    sys.stdout.write(json.dumps(metrics) + "\n")


if __name__ == "__main__":
    main()
