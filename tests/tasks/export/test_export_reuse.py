"""An export takes the vectors of unchanged documents from an earlier one, and only those."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.content_hashes import hashes_of
from tasks.embedder import Embedder
from tasks.execute import execute
from tasks.export.config import ExportConfig
from tasks.export.dataset import can_feed
from tasks.export.stage import EXPORT
from tasks.stage import map_in_order
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.identity import Identity
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.chain import Listener, ingested, sealed
from tests.tasks.export.exports import (
    chain,
    committed,
    damage,
    embedder_artifact,
    export,
    files_of,
    made_up_records,
    read,
    vectors_of,
)

TWIN = {"text": "said once and again", "split": "train"}
OLD: list[dict[str, Any]] = [*made_up_records(24), TWIN | {"id": "twin", "year": 1}]
# Seven leave, one changes its text and one its metadata, a duplicate and five others come.
NEW: list[dict[str, Any]] = [
    *made_up_records(3, seed=1),
    TWIN | {"id": "again", "year": 2},
    *OLD[:6],
    OLD[6] | {"text": "these words are new here"},
    OLD[7] | {"year": -1},
    *OLD[15:],
    *made_up_records(2, seed=2),
]
NUM_NEW = 6
SETTINGS: list[dict[str, Any]] = [
    {},
    {"level": "both", "int8": True, "binary": True},
    {"dtype": "float16", "level": "both", "int8": True},
]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return chain(tmp_path_factory.mktemp("before"), OLD, documents_per_shard=7)


@pytest.fixture(scope="module")
def after(
    before: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("after")
    return {**before, "ingest": ingested(folder / "corpus", NEW, documents_per_shard=9)}


def exported(inputs: dict[str, Artifact], folder: Path, **settings: Any) -> Artifact:
    export(inputs, folder, **settings)
    return committed(folder)


def feeding(artifact: Artifact) -> Any:
    """As the store does: the artifact, if it suits."""
    return lambda suits: artifact if suits(artifact) else None


def without_vectors(table: pa.Table) -> pa.Table:
    return table.drop_columns([name for name in table.column_names if name in VECTORS])


VECTORS = {"embedding", "embedding_int8", "scale", "embedding_binary"}


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_incremental_export_equals_a_full_one(
    before: dict[str, Artifact],
    after: dict[str, Artifact],
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earlier = exported(before, tmp_path / "old", **settings)
    export(after, tmp_path / "full", **settings)
    seen: list[str] = []
    plain = Embedder.tokenize

    def noting(self: Embedder, texts: Any) -> Any:
        seen.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(Embedder, "tokenize", noting)
    listener = Listener()
    metrics = export(after, tmp_path / "new", listener, newest=feeding(earlier), **settings)

    old_texts = {record["text"] for record in OLD}
    assert sorted(seen) == sorted({record["text"] for record in NEW} - old_texts)
    assert (metrics["num_embedded"], metrics["num_resumed"]) == (NUM_NEW, 0)
    num_kept = int(metrics["num_documents"] - metrics["num_duplicates"])
    assert metrics["num_reused"] == num_kept - NUM_NEW
    assert listener.seen[-1] == (num_kept, num_kept, "documents")
    assert (tmp_path / "new/dataset.json").read_bytes() == (
        tmp_path / "full/dataset.json"
    ).read_bytes()

    tolerance = 1e-5 if settings.get("dtype") != "float16" else 1e-3
    for kind in ("part", "chunk") if settings.get("level") else ("part",):
        full, new = read(tmp_path / "full", kind), read(tmp_path / "new", kind)
        assert new.schema.equals(full.schema, check_metadata=True)
        assert without_vectors(new).equals(without_vectors(full))
        apart = vectors_of(new).astype(np.float64) - vectors_of(full)
        assert np.abs(apart).max() <= tolerance
        old = {key_of(row): row for row in read(tmp_path / "old", kind).to_pylist()}
        num_same = 0
        for row in new.to_pylist():
            twin = old.get(key_of(row))
            if twin and twin["n_tokens"] == row["n_tokens"] and is_unchanged(row, twin):
                num_same += 1
                assert {name: row[name] for name in VECTORS & row.keys()} == {
                    name: twin[name] for name in VECTORS & row.keys()
                }
        assert num_same >= 15


def key_of(row: dict[str, Any]) -> tuple[str, int]:
    return row["doc_id"], row.get("chunk_index", 0)


def is_unchanged(row: dict[str, Any], twin: dict[str, Any]) -> bool:
    changed = OLD[6]["id"]
    return row["doc_id"] != changed and row.get("content_sha256") == twin.get("content_sha256")


def test_nothing_new_embeds_nothing_and_changes_no_bit(
    before: dict[str, Artifact], tmp_path: Path
) -> None:
    earlier = exported(before, tmp_path / "old", level="both")
    metrics = export(before, tmp_path / "new", newest=feeding(earlier), level="both")
    assert metrics["num_embedded"] == 0
    assert files_of(tmp_path / "new") == files_of(tmp_path / "old")


@pytest.mark.parametrize(
    "settings", [{"dtype": "float16"}, {"int8": True, "binary": True}, {"level": "document"}]
)
def test_float32_feeds_every_form_as_if_made_anew(
    before: dict[str, Artifact], tmp_path: Path, settings: dict[str, Any]
) -> None:
    earlier = exported(before, tmp_path / "old", level="both")
    metrics = export(before, tmp_path / "new", newest=feeding(earlier), **settings)
    assert metrics["num_embedded"] == 0
    export(before, tmp_path / "full", **settings)
    assert files_of(tmp_path / "new") == files_of(tmp_path / "full")


ABOUT = {
    "spec_version": 1, "column": "embedding", "dim": 32, "dtype": "float32", "int8": False,
    "binary": False, "level": "document", "precision": "fp32", "normalised": True,
    "pooling": "weighted_mean", "layer": 2, "max_window_tokens": 64, "long_documents": "windows",
    "embedder_id": "e", "tokenizer_id": "t", "corpus_id": "c",
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "wanted", "is_fed"),
    [
        ({}, {}, True),
        ({"corpus_id": "d"}, {}, True),
        ({"int8": True, "level": "both"}, {"dtype": "float16"}, True),
        ({"dtype": "float16"}, {"dtype": "float16"}, True),
        ({"dtype": "float16"}, {}, False),
        ({"dtype": "float16"}, {"dtype": "float16", "int8": True}, False),
        ({}, {"level": "both"}, False),
        *[
            ({name: "another"}, {}, False)
            for name in (
                "embedder_id", "tokenizer_id", "precision", "pooling", "layer", "dim",
                "max_window_tokens", "long_documents", "spec_version",
            )
        ],
    ],
)  # fmt: skip
def test_only_vectors_that_would_be_the_same_are_taken(
    found: dict[str, Any], wanted: dict[str, Any], is_fed: bool
) -> None:
    assert can_feed(ABOUT | found, ABOUT | wanted) == is_fed


def test_another_model_or_version_never_mixes_in(
    before: dict[str, Artifact], after: dict[str, Artifact], tmp_path: Path
) -> None:
    earlier = exported(before, tmp_path / "old")
    embedder_artifact(tmp_path / "other", before["vocab"])
    (tmp_path / "other" / "note").write_text("makes the content id another one")
    other = {**after, "tune": sealed(tmp_path / "other", "tune")}
    assert export(other, tmp_path / "a", newest=feeding(earlier))["num_reused"] == 0
    outdated = committed(tmp_path / "old", version=EXPORT.version - 1)
    assert export(after, tmp_path / "b", newest=feeding(outdated))["num_reused"] == 0
    assert export(after, tmp_path / "c", newest=feeding(earlier))["num_reused"] > 0


@pytest.mark.parametrize("harm", ["damage", "remove"])
def test_a_file_that_fails_after_all_is_done_without(
    before: dict[str, Artifact], after: dict[str, Artifact], tmp_path: Path, harm: str
) -> None:
    earlier = exported(before, tmp_path / "old")
    part = tmp_path / "old" / "part-00001.parquet"
    part.unlink() if harm == "remove" else damage(part)
    listener = Listener()
    metrics = export(after, tmp_path / "new", listener, newest=feeding(earlier))
    assert any("part-00001" in line or "earlier" in line for line in listener.warnings)
    assert metrics["num_embedded"] > NUM_NEW
    export(after, tmp_path / "full")
    assert (
        np.abs(vectors_of(read(tmp_path / "new")) - vectors_of(read(tmp_path / "full"))).max()
        <= 1e-5
    )


def commit(store: Store, source: Artifact, settings: dict[str, Any]) -> ArtifactRef:
    """A copy of the artifact's files as one of the store's."""
    identity = Identity(stage=source.ref.stage, version=1, settings=settings, inputs={})
    with store.lease(identity.stage, identity.input_id) as lease, store.staging(lease) as staging:
        for path in source.path.rglob("*"):
            if path.is_file() and path.name != "MANIFEST.json":
                copy = staging.folder / path.relative_to(source.path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
        return staging.commit(identity, {}, {}).ref


def test_the_store_hands_out_the_newest_whole_dataset(
    before: dict[str, Artifact], after: dict[str, Artifact], tmp_path: Path
) -> None:
    warnings: list[str] = []
    store = Store(Workspace.open(tmp_path / "workspace"), warn=warnings.append)
    shared = {name: commit(store, before[name], {}) for name in ("vocab", "tune")}

    def run(corpus: Artifact, number: int) -> tuple[Path, dict[str, float]]:
        refs = {**shared, "ingest": commit(store, corpus, {"number": number})}
        outcome = execute(
            EXPORT, ExportConfig(device="cpu"), refs,
            store=store, report=Listener(), map_shards=map_in_order,
        )  # fmt: skip
        return store.workspace.path / outcome.ref.path, outcome.metrics

    first, metrics = run(before["ingest"], 1)
    assert metrics["num_reused"] == 0
    second, metrics = run(after["ingest"], 2)
    assert metrics["num_embedded"] == NUM_NEW
    harm(second)  # the first is next
    third, metrics = run(after["ingest"], 3)
    assert f"skipped: artifacts/export/{second.name}" in warnings[-1]
    assert metrics["num_embedded"] == NUM_NEW
    harm(first)
    harm(third)
    _, metrics = run(after["ingest"], 4)
    assert metrics["num_reused"] == 0
    assert sum("skipped" in line for line in warnings) == 4
    assert first.is_dir()


def harm(folder: Path) -> None:
    (folder / "part-00000.parquet").chmod(0o644)
    damage(folder / "part-00000.parquet")


def test_hashes_are_compared_to_the_last_byte() -> None:
    """Zeros at the end, and a table that begins in the middle of another."""
    hashes = [bytes(32), b"\1" * 31 + b"\0", b"\1" * 32, b"\1" + bytes(31)]
    column = pa.chunked_array([pa.array(hashes, pa.binary(32))])
    found = hashes_of(column.slice(1))
    assert [len(np.unique(found)), len(found)] == [3, 3]
    assert [value.ljust(32, b"\0") for value in found.tolist()] == hashes[1:]
    assert len(hashes_of(column.slice(4))) == 0
