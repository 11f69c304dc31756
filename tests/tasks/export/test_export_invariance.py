"""A document's vector is its own: batches, order, shards and workers do not show in it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.embedder import Embedder
from tasks.export.shards import ShardExporter
from tasks.export.workers import Embedders, pick_devices
from tasks.store.artifact import Artifact
from tests.tasks.chain import ingested
from tests.tasks.export.exports import chain, export, files_of, made_up_records, read, vectors_of

RECORDS = made_up_records(40)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return chain(tmp_path_factory.mktemp("chain"), RECORDS, documents_per_shard=6)


@pytest.fixture(scope="module")
def exact(inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exact")
    export(inputs, folder, level="both")
    return folder


def by_key(folder: Path, kind: str) -> dict[tuple[str, int], np.ndarray]:
    table = read(folder, kind)
    rows = table.select(
        [name for name in table.column_names if name in ("doc_id", "chunk_index")]
    ).to_pylist()
    keys = [(row["doc_id"], row.get("chunk_index", 0)) for row in rows]
    return dict(zip(keys, vectors_of(table), strict=True))


def matrices(found: Path, exact: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of both, row for row."""
    mine, theirs = by_key(found, kind), by_key(exact, kind)
    assert mine.keys() == theirs.keys()
    return np.stack([mine[key] for key in theirs]), np.stack(list(theirs.values()))


def rearranged(inputs: dict[str, Artifact], folder: Path, seed: int) -> dict[str, Artifact]:
    """The same documents in another order, cut into other shards."""
    draw = np.random.default_rng(seed)
    records = [RECORDS[index] for index in draw.permutation(len(RECORDS))]
    size = int(draw.choice([1, 7, 13, 100]))
    return {**inputs, "ingest": ingested(folder / "corpus", records, documents_per_shard=size)}


@pytest.mark.parametrize(("seed", "budget"), [(1, 16), (2, 64), (3, 500), (4, 4096), (5, 10**6)])
def test_order_shards_and_batches_do_not_matter(
    inputs: dict[str, Artifact], exact: Path, tmp_path: Path, seed: int, budget: int
) -> None:
    other = rearranged(inputs, tmp_path, seed)
    export(other, tmp_path / "out", level="both", tokens_per_batch=budget)
    for kind in ("part", "chunk"):
        found, expected = matrices(tmp_path / "out", exact, kind)
        assert np.abs(found - expected).max() <= 1e-5


def test_nor_do_they_in_half_precision_beyond_its_rounding(
    inputs: dict[str, Artifact], exact: Path, tmp_path: Path
) -> None:
    export(inputs, tmp_path / "a", precision="bf16", tokens_per_batch=64)
    other = rearranged(inputs, tmp_path, 6)
    export(other, tmp_path / "b", precision="bf16", tokens_per_batch=3000)
    half, other_half = matrices(tmp_path / "a", tmp_path / "b", "part")
    assert (half * other_half).sum(axis=1).min() >= 0.9999
    half, full = matrices(tmp_path / "a", exact, "part")
    assert not np.array_equal(half, full)
    assert (half * full).sum(axis=1).min() >= 0.9999


def threads(number: int) -> Any:
    def map_in_threads(function: Callable[[Any], Any], shards: Sequence[Any], *, name: str) -> Any:
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(function, shards))

    return map_in_threads


@pytest.mark.parametrize(("num_threads", "num_devices"), [(2, 1), (4, 1), (3, 2)])
def test_the_number_of_workers_does_not_matter(
    inputs: dict[str, Artifact],
    exact: Path,
    tmp_path: Path,
    num_threads: int,
    num_devices: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices = [torch.device("cpu")] * num_devices  # as many encoders as a machine has GPUs
    monkeypatch.setattr("tasks.export.stage.pick_devices", lambda name: devices)
    export(inputs, tmp_path, level="both", map_shards=threads(num_threads))
    assert files_of(tmp_path) == files_of(exact)


def test_each_embedder_serves_one_shard_at_a_time(inputs: dict[str, Artifact]) -> None:
    embedder = Embedder.load(inputs["tune"].path)
    pool = Embedders([embedder, Embedder.load(inputs["tune"].path)])
    lock = threading.Lock()
    together = threading.Barrier(2)
    busy: list[int] = []

    def work(number: int) -> int:
        with pool.borrowed() as mine:
            with lock:
                assert id(mine) not in busy
                busy.append(id(mine))
                count = len(busy)
            together.wait(10)  # breaks unless two are borrowed at the same time
            with lock:
                busy.remove(id(mine))
        return count

    with ThreadPoolExecutor(6) as threads:
        counts = list(threads.map(work, range(6)))
    assert max(counts) == 2


def test_two_shards_a_device_are_in_memory_at_most(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = threading.Lock()
    inside, most = 0, 0
    plain = ShardExporter._vectors

    def noting(self: ShardExporter, *arguments: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            return plain(self, *arguments)
        finally:
            with lock:
                inside -= 1

    monkeypatch.setattr(ShardExporter, "_vectors", noting)
    export(inputs, tmp_path, map_shards=threads(7))
    assert 1 <= most <= 2


def test_an_embedder_comes_back_after_a_failure(inputs: dict[str, Artifact]) -> None:
    pool = Embedders.load(inputs["tune"].path, pick_devices("cpu"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="mine"), pool.borrowed():
            raise RuntimeError("mine")


def test_auto_is_every_gpu_and_a_name_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [str(device) for device in pick_devices("auto")] == ["cuda:0", "cuda:1", "cuda:2"]
    assert [str(device) for device in pick_devices("cuda:1")] == ["cuda:1"]
    assert [str(device) for device in pick_devices("cpu")] == ["cpu"]
