"""The embeddings dataset as the public contract has it, from a real corpus."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from model.errors import ArtifactError, CorpusError
from model.huggingface import save_encoder
from tasks.embedder import Embedder
from tasks.store.artifact import Artifact
from tests.tasks.chain import ENCODER, Listener, ingested, sealed
from tests.tasks.export.exports import (
    RECORDS,
    ROW_IDS,
    WINDOW,
    chain,
    damage,
    embedder_artifact,
    export,
    files_of,
    made_up_records,
    read,
    vectors_of,
)


@pytest.fixture(scope="module")
def dataset(inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    export(inputs, folder)
    return folder


def test_columns_and_types_are_the_contract(dataset: Path) -> None:
    schema = pq.read_schema(dataset / "part-00000.parquet")
    expected = pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("content_sha256", pa.binary(32), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("n_tokens", pa.int32(), nullable=False),
            pa.field("n_windows", pa.int16(), nullable=False),
            pa.field("truncated", pa.bool_(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), 32), nullable=False),
            pa.field("year", pa.int64()),
            pa.field("tag", pa.string()),
        ]
    )
    assert schema.equals(expected), schema


def test_rows_stand_in_corpus_order_with_duplicates_behind_their_twin(dataset: Path) -> None:
    table = read(dataset)
    assert table["doc_id"].to_pylist() == ROW_IDS
    names = sorted(path.name for path in dataset.iterdir())
    assert names == ["dataset.json", *(f"part-{shard:05d}.parquet" for shard in range(3))]
    vectors = vectors_of(table)
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])
    rows = table.to_pylist()
    assert [row["year"] for row in rows[:4]] == [1990, 1990, 1990, 1991]
    assert rows[2]["split"] == "train"
    digest = hashlib.sha256(b"the first document").digest()
    assert [row["content_sha256"] == digest for row in rows] == [True] * 3 + [False] * 4


def test_vectors_are_those_of_the_embedder(dataset: Path, inputs: dict[str, Artifact]) -> None:
    embedder = Embedder.load(inputs["tune"].path)
    texts = {record["id"]: record["text"] for record in RECORDS}
    expected = embedder.encode_texts([texts[doc_id] for doc_id in ROW_IDS])
    np.testing.assert_allclose(vectors_of(read(dataset)), expected, atol=1e-5)


def test_every_token_is_accounted_for(dataset: Path, inputs: dict[str, Artifact]) -> None:
    rows = read(dataset).to_pylist()
    texts = {record["id"]: record["text"] for record in RECORDS}
    assert [row["n_tokens"] for row in rows] == [len(texts[i].encode()) for i in ROW_IDS]
    assert [row["n_windows"] for row in rows] == [
        max(1, -(-row["n_tokens"] // (WINDOW - 2))) for row in rows
    ]
    assert not any(row["truncated"] for row in rows)
    totals = json.loads((dataset / "dataset.json").read_text())
    assert totals["num_tokens"] == sum(row["n_tokens"] for row in rows)
    assert totals["num_windows"] == sum(row["n_windows"] for row in rows)
    assert totals["num_documents"] == len(rows)


def test_token_counts_are_the_tokenizers(tmp_path: Path) -> None:
    records = made_up_records(30)
    inputs = chain(tmp_path, records, documents_per_shard=8)
    export(inputs, tmp_path / "out", level="both")
    tokenizer = Tokenizer.from_file(str(inputs["vocab"].file("tokenizer.json")))
    counted = {
        record["id"]: len(tokenizer.encode(record["text"], add_special_tokens=False).ids)
        for record in records
    }
    rows, chunks = (read(tmp_path / "out", kind).to_pylist() for kind in ("part", "chunk"))
    assert {row["doc_id"]: row["n_tokens"] for row in rows} == counted
    in_chunks = dict.fromkeys(counted, 0)
    for chunk in chunks:
        in_chunks[chunk["doc_id"]] += chunk["n_tokens"]
    assert in_chunks == counted
    totals = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert totals["num_tokens"] == sum(counted.values())


def test_each_file_says_what_it_is(dataset: Path, inputs: dict[str, Artifact]) -> None:
    for shard, num_rows in enumerate([4, 2, 1]):
        metadata = pq.read_schema(dataset / f"part-{shard:05d}.parquet").metadata
        said = json.loads(metadata[b"corpusmith"])
        assert (said["shard"], said["num_shards"], said["num_rows"]) == (shard, 3, num_rows)
        assert (said["dim"], said["dtype"], said["column"]) == (32, "float32", "embedding")
        assert (said["level"], said["precision"]) == ("document", "fp32")
        assert (said["normalised"], said["pooling"], said["layer"]) == (True, "weighted_mean", 2)
        assert said["spec_version"] == 1
        assert said["max_window_tokens"] == WINDOW
        assert said["embedder_id"] == inputs["tune"].ref.content_id
        assert said["tokenizer_id"] == inputs["vocab"].ref.content_id
        assert said["corpus_id"] == inputs["ingest"].ref.content_id


def test_duckdb_and_polars_read_it_in_order(dataset: Path) -> None:
    pattern = f"{dataset}/part-*.parquet"
    vectors = vectors_of(read(dataset))
    frame = pl.read_parquet(pattern)
    assert frame["doc_id"].to_list() == ROW_IDS
    assert frame.schema["embedding"] == pl.Array(pl.Float32, 32)
    assert np.array_equal(frame["embedding"].to_numpy(), vectors)
    rows = duckdb.sql(
        f"select doc_id, list_cosine_similarity(embedding, embedding), year, embedding[1] "
        f"from '{pattern}'"
    ).fetchall()
    assert [row[0] for row in rows] == ROW_IDS
    assert [row[1] for row in rows] == pytest.approx([1.0] * 7)
    assert [row[3] for row in rows] == vectors[:, 0].tolist()


def test_layout_serves_readers(dataset: Path) -> None:
    file = pq.ParquetFile(dataset / "part-00000.parquet", page_checksum_verification=True)
    assert file.read().num_rows == 4
    group = file.metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    embedding = next(c for name, c in columns.items() if name.startswith("embedding"))
    assert not embedding.has_dictionary_page
    assert not embedding.is_stats_set
    assert columns["doc_id"].is_stats_set


@pytest.mark.parametrize(
    ("settings", "rows_per_group"), [({}, 2), ({"dtype": "float16"}, 4), ({"int8": True}, 2)]
)
def test_row_groups_are_cut_by_bytes_of_vectors(
    inputs: dict[str, Artifact],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    rows_per_group: int,
) -> None:
    monkeypatch.setattr("tasks.export.parts._ROW_GROUP_BYTES", 2 * 32 * 4)
    export(inputs, tmp_path, level="both", **settings)
    for name in ("part-00000.parquet", "chunk-00000.parquet"):
        found = pq.read_metadata(tmp_path / name)
        sizes = [found.row_group(index).num_rows for index in range(found.num_row_groups)]
        assert set(sizes[:-1]) <= {rows_per_group}
        assert sizes[-1] <= rows_per_group


def test_a_flipped_bit_in_a_page_is_noticed(dataset: Path, tmp_path: Path) -> None:
    shutil.copyfile(dataset / "part-00000.parquet", tmp_path / "part.parquet")
    damage(tmp_path / "part.parquet")
    with pytest.raises((OSError, pa.ArrowException)):
        pq.read_table(tmp_path / "part.parquet", page_checksum_verification=True)


def test_one_shard_or_many_and_any_budget_give_the_same_vectors(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    whole = {**inputs, "ingest": ingested(tmp_path / "corpus", RECORDS)}
    export(whole, tmp_path / "out", tokens_per_batch=64)
    table = read(tmp_path / "out")
    assert table["doc_id"].to_pylist() == ROW_IDS
    assert np.abs(vectors_of(table) - vectors_of(read(dataset))).max() <= 1e-5


def test_same_request_same_bytes(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    export(inputs, tmp_path)
    assert files_of(tmp_path) == files_of(dataset)


def test_an_interrupted_attempt_is_taken_up_shard_by_shard(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    export(inputs, tmp_path)
    damaged = tmp_path / "part-00001.parquet"
    damage(damaged)
    (tmp_path / "part-00002.parquet").unlink()
    (tmp_path / "part-00002.parquet.partial").write_bytes(b"half")
    (tmp_path / "part-00009.parquet").write_bytes(b"of another corpus")
    (tmp_path / "chunk-00000.parquet").write_bytes(b"of other settings")
    untouched = (tmp_path / "part-00000.parquet").stat().st_ino
    listener = Listener()
    export(inputs, tmp_path, listener)
    assert files_of(tmp_path) == files_of(dataset)
    assert (tmp_path / "part-00000.parquet").stat().st_ino == untouched
    assert listener.seen[-1] == (5, 5, "documents")


def test_chunks_are_taken_up_too_and_only_with_their_documents(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    export(inputs, tmp_path, level="both")
    whole = files_of(tmp_path)
    damage(tmp_path / "chunk-00000.parquet")
    (tmp_path / "chunk-00002.parquet").unlink()
    untouched = (tmp_path / "chunk-00001.parquet").stat().st_ino
    metrics = export(inputs, tmp_path, level="both")
    assert (metrics["num_resumed"], metrics["num_embedded"]) == (2, 3)
    assert files_of(tmp_path) == whole
    assert (tmp_path / "chunk-00001.parquet").stat().st_ino == untouched


def test_a_finished_part_of_another_embedder_is_not_reused(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    other = embedder_artifact(tmp_path / "embedder", inputs["vocab"])
    (tmp_path / "embedder" / "note").write_text("makes the content id another one")
    other = sealed(tmp_path / "embedder", "tune")
    output = tmp_path / "out"
    export(inputs, output)
    before = (output / "part-00000.parquet").stat().st_ino
    export({**inputs, "tune": other}, output)
    assert (output / "part-00000.parquet").stat().st_ino != before


def test_float16_is_close_and_of_unit_length(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    export(inputs, tmp_path, dtype="float16")
    table = read(tmp_path)
    assert table.schema.field("embedding").type == pa.list_(pa.float16(), 32)
    vectors = vectors_of(table).astype(np.float64)
    assert np.isfinite(vectors).all()
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-3
    assert np.abs(vectors - vectors_of(read(dataset))).max() < 1e-3
    assert pl.read_parquet(tmp_path / "part-*.parquet").height == 7


def test_quantised_columns_give_the_vector_back(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    export(inputs, tmp_path, int8=True, binary=True)
    table = read(tmp_path)
    exact = vectors_of(table)
    assert np.array_equal(exact, vectors_of(read(dataset)))
    int8 = np.stack(table["embedding_int8"].to_pylist())
    scale = table["scale"].to_numpy()
    assert table.schema.field("embedding_int8").type == pa.list_(pa.int8(), 32)
    assert np.abs(int8).max(axis=1).tolist() == [127] * 7
    assert (np.abs(int8 * scale[:, None] - exact) <= scale[:, None] * 0.5001).all()
    packed = np.frombuffer(b"".join(table["embedding_binary"].to_pylist()), np.uint8)
    assert table.schema.field("embedding_binary").type == pa.binary(4)
    assert np.array_equal(np.unpackbits(packed.reshape(7, 4), axis=1), exact > 0)


@pytest.mark.parametrize("level", ["chunk", "both"])
def test_chunks_tile_their_documents(
    dataset: Path, inputs: dict[str, Artifact], tmp_path: Path, level: str
) -> None:
    metrics = export(inputs, tmp_path, level=level)
    documents, chunks = read(tmp_path).to_pylist(), read(tmp_path, "chunk").to_pylist()
    assert np.array_equal(vectors_of(read(tmp_path)), vectors_of(read(dataset)))
    assert list(dict.fromkeys(chunk["doc_id"] for chunk in chunks)) == ROW_IDS
    assert metrics["num_chunks"] == len(chunks)
    for row in documents:
        own = [chunk for chunk in chunks if chunk["doc_id"] == row["doc_id"]]
        assert len(own) == row["n_windows"]
        assert [chunk["chunk_index"] for chunk in own] == list(range(len(own)))
        reached = 0
        for chunk in own:
            assert chunk["start_token"] == reached
            reached += chunk["n_tokens"]
        assert reached == row["n_tokens"]
        weights = np.array([chunk["n_tokens"] + 2 for chunk in own])
        assert np.linalg.norm([chunk["embedding"] for chunk in own], axis=1) == pytest.approx(1.0)
        if len(own) == 1:
            assert own[0]["embedding"] == row["embedding"]
        else:  # the directions of the chunks span that of the document
            basis = np.array([chunk["embedding"] for chunk in own]).T
            _, residual, *_ = np.linalg.lstsq(basis, np.array(row["embedding"]), rcond=None)
            assert residual.max() < 1e-10
            assert weights.sum() > WINDOW


def test_a_word_at_the_end_of_a_long_document_changes_its_vector(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    text = "so it goes on and on " * 250
    records = [
        {"id": name, "text": text + end, "split": split}
        for name, end, split in (
            ("plain", "finished", "train"),
            ("marked", "zyzzyvas", "train"),
            ("other", "", "validation"),
            ("short", "so it goes", "test"),
        )
    ]
    marked = {
        **inputs,
        "ingest": ingested(tmp_path / "corpus", records, near_duplicate_threshold=None),
    }
    export(marked, tmp_path / "out")
    table = read(tmp_path / "out")
    assert table["n_tokens"].to_pylist()[0] > 5000
    plain, with_marker = vectors_of(table)[:2]
    assert np.abs(plain - with_marker).max() > 1e-4  # far above what batches do to a vector


@pytest.mark.parametrize("name", ["embedding", "n_tokens", "Truncated", "scale"])
def test_a_metadata_column_with_a_reserved_name_is_refused(
    inputs: dict[str, Artifact], tmp_path: Path, name: str
) -> None:
    about = json.loads(inputs["ingest"].file("corpus.json").read_text())
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    about["metadata_columns"] = [name]
    (corpus / "corpus.json").write_text(json.dumps(about))
    with pytest.raises(CorpusError, match=f"{name!r} has a name"):
        export({**inputs, "ingest": sealed(corpus, "ingest")}, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_vectors_that_are_no_numbers_are_not_written(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    broken = embedder_artifact(tmp_path / "embedder", inputs["vocab"])
    loaded = Embedder.load(broken.path)
    loaded.encoder.final_norm.weight.data.fill_(float("nan"))
    save_encoder(loaded.encoder, broken.path)
    with pytest.raises(ArtifactError, match="not finite"):
        export({**inputs, "tune": broken}, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_rows_and_documents_must_agree(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    corpus = ingested(tmp_path / "corpus", RECORDS)
    ledger = pq.read_table(corpus.file("ledger.parquet"))
    pq.write_table(ledger.slice(0, 5), corpus.file("ledger.parquet"))
    with pytest.raises(ArtifactError, match="rows for 7 documents"):
        export({**inputs, "ingest": corpus}, tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_metrics_and_progress(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    listener = Listener()
    metrics = export(inputs, tmp_path, listener)
    assert metrics["num_documents"] == 7
    assert metrics["num_duplicates"] == 2
    assert metrics["dim"] == ENCODER.hidden_size
    assert metrics["documents_per_second"] > 0
    names = ("num_embedded", "num_reused", "num_resumed")
    assert [metrics[name] for name in names] == [5, 0, 0]
    assert listener.seen[-1] == (5, 5, "documents")
    assert [done for done, _, _ in listener.seen] == sorted(done for done, _, _ in listener.seen)
