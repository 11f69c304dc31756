"""Runs the stage once in a process of its own and says what it took: ``one_ingest FOLDER OUT``."""

import json
import resource
import sys
import time
from pathlib import Path

from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.stage import StageContext
from tests.tasks.ingest.conftest import Listener


def main(folder: str, output: str, *settings: str) -> None:
    """Print a line of JSON: peak memory before and after in MiB, seconds, metrics or the error."""
    given = dict(setting.split("=", 1) for setting in settings)
    config = IngestConfig.model_validate({"paths": [folder], "num_workers": 1, **given})
    before, started = _peak_mib(), time.monotonic()
    said: dict[str, object] = {}
    try:
        context = StageContext(config, {}, Path(output), Listener())
        said["metrics"] = INGEST.run(context)
    except ValueError as error:
        said["error"] = f"{type(error).__name__}: {error}"
    said |= {"seconds": time.monotonic() - started, "idle_mib": before, "peak_mib": _peak_mib()}
    sys.stdout.write(json.dumps(said) + "\n")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
