"""The stage itself: files in, files out, nothing left over, the same bytes twice."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from model.errors import CorpusError
from model.huggingface import save_encoder
from tasks.probe.config import ProbeConfig
from tasks.probe.sample import Tokens
from tasks.probe.stage import PROBE
from tasks.stage import StageContext
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import Manifest
from tests.tasks.probe.encoders import Silent, corpus, plain_encoder

CONFIG = ProbeConfig(
    num_documents=40, max_tokens_per_document=32, num_examples=60, window_tokens=8, device="cpu"
)


def artifact(folder: Path, stage: str) -> Artifact:
    identity = Identity(stage=stage, version=1, settings={}, inputs={})
    return artifact_from(folder, Manifest(identity=identity, inputs={}, files=()))


def write_tokens(folder: Path, documents: dict[str, list[Tokens]]) -> None:
    """What the tokenize stage leaves, in two shards a split."""
    (folder / "tokens").mkdir(parents=True)
    for split, own in documents.items():
        for shard, part in enumerate((own[: len(own) // 2], own[len(own) // 2 :])):
            rows = pa.array([row.tolist() for row in part], pa.large_list(pa.uint16()))
            table = pa.table({"token_ids": rows, "num_bytes": pa.array([9] * len(part))})
            path = folder / "tokens" / f"{split}-{shard:05d}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
                out.write_table(table)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("inputs")
    write_tokens(folder / "tokenize", dict(corpus(num_train=80, num_held_out=60)))
    (folder / "pretrain").mkdir()
    save_encoder(plain_encoder(), folder / "pretrain")
    return {name: artifact(folder / name, name) for name in ("tokenize", "pretrain")}


def run_in(
    output: Path, inputs: dict[str, Artifact], config: ProbeConfig = CONFIG
) -> dict[str, float]:
    output.mkdir(exist_ok=True)
    return PROBE.run(StageContext(config=config, inputs=inputs, output=output, report=Silent()))


@pytest.fixture(scope="module")
def finished(
    inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """The output of one run, and its metrics."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_in(folder, inputs)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_writes_what_the_contract_names(finished: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = finished
    names = set(contents(folder))
    tables_and_page = {"layers.parquet", "heads.parquet", "report.html"}
    assert set(PROBE.tracked_files) <= tables_and_page <= names
    plots = names - tables_and_page
    assert plots
    assert all(name.startswith("plots/") and name.endswith(".svg") for name in plots)
    assert all(math.isfinite(value) for value in metrics.values())


def test_leftovers_of_an_earlier_attempt_change_nothing(
    tmp_path: Path, inputs: dict[str, Artifact], finished: tuple[Path, dict[str, float]]
) -> None:
    folder, metrics = finished
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "of_an_earlier_attempt.svg").write_text("<svg/>")
    (tmp_path / "report.html").write_text("half a pa")
    assert run_in(tmp_path, inputs) == metrics
    assert contents(tmp_path) == contents(folder)


def test_tables_have_a_row_for_each_layer_and_head(
    finished: tuple[Path, dict[str, float]],
) -> None:
    layers = pq.read_table(finished[0] / "layers.parquet").to_pylist()
    heads = pq.read_table(finished[0] / "heads.parquet").to_pylist()
    assert {row["layer"] for row in layers} == {0, 1, 2, 3}
    assert {(row["layer"], row["head"]) for row in heads} == {
        (layer, head) for layer in (1, 2, 3) for head in (0, 1)
    }
    probes = [row for row in layers if row["measure"] == "bigram_shift_accuracy"]
    assert {row["seed"] for row in probes} == {0, 1, 2, None}
    assert {row["split"] for row in probes} == {"validation", "test"}


def held_out(documents: Sequence[Tokens]) -> dict[str, list[Tokens]]:
    return {"train": corpus(20, 1)["train"], "validation": list(documents), "test": []}


def test_a_handful_of_unrepeated_tokens_is_no_reason_to_fail(
    tmp_path: Path, inputs: dict[str, Artifact]
) -> None:
    """Self-similarity needs a token that occurs twice; without one its metric is left out."""
    few = held_out([np.array([7, 8, 9], np.uint16), np.array([10, 11], np.uint16)])
    write_tokens(tmp_path / "tokenize", few)
    small = inputs | {"tokenize": artifact(tmp_path / "tokenize", "tokenize")}
    metrics = run_in(tmp_path / "output", small)
    assert "self_similarity_adjusted_last_layer" not in metrics
    assert all(math.isfinite(value) for value in metrics.values())
    assert "n/a" in (tmp_path / "output" / "report.html").read_text(encoding="utf-8")


def test_no_held_out_text_is_the_users_to_know(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    write_tokens(tmp_path / "tokenize", held_out([]))
    empty = inputs | {"tokenize": artifact(tmp_path / "tokenize", "tokenize")}
    with pytest.raises(CorpusError, match="needs 2; add documents"):
        run_in(tmp_path / "output", empty)


def test_device_is_no_part_of_the_identity_and_few_seeds_are_refused() -> None:
    assert ProbeConfig(device="cpu").identity() == ProbeConfig().identity()
    assert ProbeConfig(seed=1).identity() != ProbeConfig().identity()
    with pytest.raises(ValidationError, match="num_seeds"):
        ProbeConfig(num_seeds=2)
