"""A stage's output is a promise: same input, same settings, same version, same result.

When a change of output is meant, raise the stage's ``version`` and renew what is kept here:
``python -m tests.contracts.test_golden > tests/contracts/golden.json``. Stages that count are held
to the byte; stages that train are held to what every processor agrees on.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.config import PipelineConfig, validate
from flows.graph import STAGE_NAMES, load_stage
from tasks.execute import execute
from tasks.stage import map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.corpora import topic_documents, write_jsonl
from tests.tasks.chain import Listener

GOLDEN = Path(__file__).with_name("golden.json")
SETTINGS: dict[str, dict[str, Any]] = {
    "vocab": {"vocab_size": 384},
    "tokenize": {"row_tokens": 64},
    "pretrain": {
        "num_layers": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 48,
        "max_steps": 8,
        "rows_per_step": 4,
        "precision": "fp32",
    },
    "tune": {"max_steps": 4, "documents_per_batch": 8, "precision": "fp32"},
    "probe": {"num_documents": 20, "num_examples": 60},
    "evaluate": {"min_words": 5, "num_resamples": 100},
}
EXACT = ("ingest", "vocab", "tokenize")
MOVING = ("seconds", "per_second", "mfu")  # metrics that tell of the machine
TOLERANCE = 0.02


def make(folder: Path) -> dict[str, dict[str, Any]]:
    """Run every stage and say, of each, its version and what came out."""
    source = write_jsonl(folder / "topics.jsonl", topic_documents(150))
    values = {**SETTINGS, "ingest": {"paths": [str(source)], "label_column": "topic"}}
    config = validate(values, where="golden")
    return {name: described for name, described in _stages(config, Store(Workspace.open(folder)))}


def _stages(config: PipelineConfig, store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    made: dict[str, ArtifactRef] = {}
    for name in STAGE_NAMES:
        stage = load_stage(name)
        outcome = execute(
            stage,
            getattr(config, name),
            made,
            store=store,
            report=Listener(),
            map_shards=map_in_order,
        )
        made[name] = outcome.ref
        folder = store.workspace.path / outcome.ref.path
        kept = {key: value for key, value in outcome.metrics.items() if not key.endswith(MOVING)}
        described = {"version": stage.version, "files": _names(folder), "metrics": kept}
        if name in EXACT:
            described["digest"] = _digest(folder)
        yield name, described


def _names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _digest(folder: Path) -> str:
    """Of what the files say, so that another version of a file's library changes nothing."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.name != "MANIFEST.json" and path.is_file():
            digest.update(_content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pylist()).encode()
    if path.suffix == ".arrow":
        with pa.memory_map(str(path)) as mapped:
            return repr(pa.ipc.open_file(mapped).read_all().to_pylist()).encode()
    return path.read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return make(tmp_path_factory.mktemp("golden"))


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGE_NAMES)
def test_output_is_what_it_was(name: str, made: dict[str, dict[str, Any]]) -> None:
    kept = json.loads(GOLDEN.read_text("utf-8"))[name]
    advice = f"the output of {name} changed: raise its version and renew golden.json"
    assert made[name]["version"] == kept["version"], "renew golden.json for the new version"
    assert made[name]["files"] == kept["files"], advice
    assert made[name].get("digest") == kept.get("digest"), advice
    assert made[name]["metrics"] == pytest.approx(kept["metrics"], rel=TOLERANCE, abs=0.05), advice


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(json.dumps(make(Path(place)), indent=1) + "\n")
