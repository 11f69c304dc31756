"""Search against a plain computation of all cosines, and embedding of the user's own files."""

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from model.errors import ArtifactError, CorpusError, RequestError
from tasks.embed_file import embed_file, embed_rows
from tasks.embedder import Embedder
from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.search import Hit, Searcher
from tasks.store.manifest import read_manifest
from tasks.vector_index import Block
from tests.corpora import topic_documents
from tests.tasks.evaluate.folders import sha256, write_corpus, write_dataset, write_embedder

QUERIES = ["the ship left the harbour", "bread and butter"]


@dataclass
class Published:
    """Folders of a release, with the rows and vectors that are in it."""

    dataset: Path
    embedder: Path
    corpus: Path
    rows: list[dict[str, Any]]
    vectors: np.ndarray

    def search(self, queries: list[str], k: int) -> list[list[Hit]]:
        searcher = Searcher.open(dataset=self.dataset, embedder=self.embedder, corpus=self.corpus)
        return searcher.like_texts(queries, k)


def publish(folder: Path, dtype: str = "float32") -> Published:
    """60 documents in three parts; the last one is a duplicate of the first."""
    embedder = write_embedder(folder / "tune")
    documents = [
        {
            "doc_id": str(made["id"]),
            "text": str(made["text"]),
            "split": "train",
            "year": made["year"],
            "heading": None if number == 3 else f"No. {number}",
        }
        for number, made in enumerate(topic_documents(59))
    ]
    corpus = write_corpus(
        folder / "ingest", documents, title_column="heading", documents_per_shard=25
    )
    rows = [document | {"content_sha256": sha256(document["text"])} for document in documents]
    rows.append(rows[0] | {"doc_id": "twin"})
    vectors = Embedder.load(embedder).encode_texts([row["text"] for row in rows])
    vectors[-1] = vectors[0]
    dataset = write_dataset(
        folder / "export",
        rows,
        vectors,
        embedder_id=read_manifest(embedder).content_id,
        dtype=dtype,
        rows_per_part=25,
    )
    return Published(dataset, embedder, corpus, rows, vectors)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tmp_path_factory.mktemp("published"))


@pytest.mark.parametrize("batch_bytes", [1, 4 * 32 * 7, 2**24])
@pytest.mark.parametrize("k", [1, 5, 60])
def test_hits_are_those_of_all_cosines_whatever_the_batches(
    published: Published, k: int, batch_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.vector_index.BLOCK_BYTES", batch_bytes)
    monkeypatch.setattr("tasks.embeddings_dataset.BLOCK_BYTES", batch_bytes)
    found = published.search(QUERIES, k)
    for query, hits in zip(QUERIES, found, strict=True):
        # rows of random weights are close, so the order of near ties may follow rounding
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert len(hits) == k
        [vector] = Embedder.load(published.embedder).encode_texts([query])
        cosine = {
            row["doc_id"]: float(own @ vector)
            for row, own in zip(published.rows, published.vectors, strict=True)
        }
        assert scores == pytest.approx(sorted(cosine.values(), reverse=True)[:k], abs=1e-6)
        assert [cosine[hit.doc_id] for hit in hits] == pytest.approx(scores, abs=1e-6)
        assert len({hit.doc_id for hit in hits}) == k


def test_a_document_finds_itself_first_then_its_duplicate(published: Published) -> None:
    text = published.rows[0]["text"]
    [hits] = published.search([text], 2)
    assert [hit.doc_id for hit in hits] == [published.rows[0]["doc_id"], "twin"]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert hits[0].text == hits[1].text
    assert hits[0].text is not None


def test_a_hit_shows_title_passage_and_the_users_columns(published: Published) -> None:
    row = published.rows[30]
    [[hit]] = published.search([row["text"]], 1)
    assert hit.title == "No. 30"
    assert hit.columns == {
        "split": "train",
        "year": row["year"],
        "heading": "No. 30",
        "notes": {"seen": "2001-02-03", "raw": "ff", "odd": ["nan"]},
    }
    json.dumps(hit.columns, allow_nan=False)
    assert hit.text is not None
    assert hit.text.strip("… ") in row["text"]


def test_a_missing_title_is_none(published: Published) -> None:
    [[hit]] = published.search([published.rows[3]["text"]], 1)
    assert (hit.doc_id, hit.title) == (published.rows[3]["doc_id"], None)


@pytest.fixture(scope="module", params=["loaded", "streamed", "index", "index file"])
def searcher(published: Published, request: pytest.FixtureRequest, tmp_path_factory) -> Searcher:
    """The same dataset loaded in every way there is."""
    searcher = Searcher.open(
        dataset=published.dataset,
        embedder=published.embedder,
        corpus=published.corpus,
        max_exact_rows=10 if "index" in request.param else 60,
        index_file=tmp_path_factory.mktemp("index") / "x.faiss"
        if "file" in request.param
        else None,
    )
    if request.param == "loaded":
        searcher.load()
    return searcher


def test_a_document_leads_to_others_but_not_to_its_duplicate(
    published: Published, searcher: Searcher
) -> None:
    rows, vectors = published.rows, published.vectors
    hits = searcher.like_document("twin", 5)
    cosines = {r["doc_id"]: float(v @ vectors[-1]) for r, v in zip(rows, vectors, strict=True)}
    others = sorted(set(cosines) - {"twin", rows[0]["doc_id"]}, key=lambda i: -cosines[i])
    assert [hit.score for hit in hits] == pytest.approx([cosines[i] for i in others[:5]], abs=1e-5)
    assert {hit.doc_id for hit in hits} <= set(others)
    assert len(searcher.like_document(rows[0]["doc_id"], 1000)) == 58
    assert [hit.doc_id for hit in hits] == [
        hit.doc_id for hit in searcher.like_document(rows[0]["doc_id"], 5)
    ]


def test_conditions_choose_before_the_nearest_are_counted(
    published: Published, searcher: Searcher
) -> None:
    wanted = {row["doc_id"] for row in published.rows if row["year"] in (1993, 1994)}
    [hits] = searcher.like_texts(["ship"], 100, where=["year >= 1993", "year < 1995"])
    assert {hit.doc_id for hit in hits} == wanted
    assert 0 < len(wanted) < 60
    [vector] = Embedder.load(published.embedder).encode_texts(["ship"])
    for hit in hits:
        row = [each["doc_id"] for each in published.rows].index(hit.doc_id)
        assert hit.score == pytest.approx(float(vector @ published.vectors[row]), abs=1e-5)
    hits = searcher.like_document("twin", 2, where=["split = train", "year = 1993"])
    assert {hit.columns["year"] for hit in hits} == {1993}
    assert searcher.like_texts(["ship"], 3, where=["split = test"]) == [[]]
    with pytest.raises(RequestError, match="did you mean year"):
        searcher.like_texts(["ship"], 3, where=["yaer = 1993"])


def test_an_unknown_document_is_refused_with_near_ones(searcher: Searcher) -> None:
    with pytest.raises(RequestError, match=r"'twinn': did you mean twin"):
        searcher.like_document("twinn", 3)
    with pytest.raises(RequestError, match="has no such id"):
        searcher.like_document("%%%", 3)


def test_a_searcher_answers_again(published: Published, searcher: Searcher) -> None:
    first = searcher.like_texts(QUERIES, 3)
    assert searcher.like_texts(QUERIES, 3) == first
    assert [hit.score for hit in first[0]] == pytest.approx(
        [hit.score for hit in published.search(QUERIES, 3)[0]], abs=1e-5
    )


def test_half_precision_is_searched_too(tmp_path: Path) -> None:
    half = publish(tmp_path, "float16")
    [hits] = half.search([half.rows[10]["text"]], 3)
    assert hits[0].doc_id == half.rows[10]["doc_id"]
    assert hits[0].score == pytest.approx(1, abs=1e-3)


def test_a_small_dataset_gives_fewer_hits(published: Published) -> None:
    assert len(published.search(["ship"], 1000)[0]) == 60


def test_vectors_of_two_embedders_never_meet(published: Published, tmp_path: Path) -> None:
    other = write_embedder(tmp_path / "other", seed=2)
    with pytest.raises(ArtifactError, match="two embedders cannot be compared"):
        Searcher.open(dataset=published.dataset, embedder=other, corpus=published.corpus)


def test_missing_and_damaged_parts_are_noticed(tmp_path: Path) -> None:
    broken = publish(tmp_path)
    middle = broken.dataset / "part-00001.parquet"
    whole = bytearray(middle.read_bytes())
    middle.unlink()
    with pytest.raises(ArtifactError, match="2 of 3 parts"):
        broken.search(["x"], 1)
    whole[len(whole) // 4] ^= 1  # inside a page
    middle.write_bytes(whole)
    with pytest.raises(ArtifactError, match=r"part-00001.*run export again"):
        broken.search(["x"], 1)
    for part in broken.dataset.iterdir():
        part.unlink()
    with pytest.raises(ArtifactError, match="holds no part"):
        broken.search(["x"], 1)


def test_files_of_any_format_are_embedded_as_the_embedder_does(
    published: Published, tmp_path: Path
) -> None:
    (tmp_path / "note.md").write_text("# The ship left the harbour")
    lines = [
        {"id": "b", "text": ("Bread and butter. " * 40).strip()},
        {"id": "c", "text": "A trial."},
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (tmp_path / "more.jsonl.gz").write_bytes(gzip.compress(data))
    output = tmp_path / "vectors.parquet"
    files = [str(tmp_path / "note.md"), str(tmp_path / "more.jsonl.gz")]
    assert embed_file(files, output, embedder=published.embedder) == 3
    table = pq.read_table(output)
    rows = {row["doc_id"]: row for row in table.to_pylist()}
    assert set(rows) == {"note.md#0", "b", "c"}
    texts = {line["id"]: line["text"] for line in lines}
    texts["note.md#0"] = "# The ship left the harbour"
    embedder = Embedder.load(published.embedder)
    for doc_id, row in rows.items():
        [vector] = embedder.encode_texts([texts[doc_id]])
        np.testing.assert_allclose(row["embedding"], vector, atol=1e-5)
        assert row["n_tokens"] == len(embedder.tokenize([texts[doc_id]])[0])
        assert row["content_sha256"] == sha256(texts[doc_id])
    assert rows["b"]["n_windows"] == -(-rows["b"]["n_tokens"] // 62)
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[32]"
    about = json.loads(table.schema.metadata[b"corpusmith"])
    assert about["embedder_id"] == read_manifest(published.embedder).content_id


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.txt", b"\xff\xfe\xfa latin", "cannot be embedded"),
        ("empty.txt", b"", "empty"),
        ("two.jsonl", b'{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n', "comes twice"),
        ("no.jsonl", b'{"id": 1, "note": "a"}\n', "no_text"),
    ],
)
def test_what_is_no_document_is_refused_and_nothing_is_left(
    published: Published, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    output = tmp_path / "out" / "vectors.parquet"
    output.parent.mkdir()
    with pytest.raises(CorpusError, match=message):
        embed_file([str(tmp_path / name)], output, embedder=published.embedder)
    assert not list(output.parent.iterdir())


def test_rows_are_those_of_the_file_also_cut(published: Published, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The ship left the harbour")
    files, output = [str(tmp_path / "note.txt")], tmp_path / "vectors.parquet"
    embed_file(files, output, embedder=published.embedder, dim=8)
    [written] = pq.read_table(output).to_pylist()
    [row] = embed_rows(files, embedder=published.embedder, dim=8)
    assert row == written | {"content_sha256": written["content_sha256"].hex()}
    json.dumps(row)
    [whole] = embed_rows(files, embedder=published.embedder)
    first = np.array(whole["embedding"][:8])
    np.testing.assert_allclose(row["embedding"], first / np.linalg.norm(first), atol=1e-6)
    with pytest.raises(RequestError, match=r"--dim 7: .* 32, 16, 8"):
        embed_rows(files, embedder=published.embedder, dim=7)


def test_an_output_without_a_folder_and_no_file_are_wrong_requests(
    published: Published, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match="no folder"):
        embed_file(["x"], tmp_path / "no" / "x.parquet", embedder=published.embedder)
    with pytest.raises(RequestError, match="at least one"):
        embed_file([], tmp_path / "x.parquet", embedder=published.embedder)


class RewrittenMeanwhile(EmbeddingsDataset):
    """A dataset of which an erasure takes out the last row of a part, after all were read once."""

    def blocks(self) -> Iterator[Block]:
        yield from super().blocks()
        part = self._parts[0]
        table = pq.read_table(part)
        new = part.with_suffix(".new")
        pq.write_table(table.slice(0, table.num_rows - 1), new)
        new.replace(part)


@pytest.mark.parametrize("max_exact_rows", [10, 1000])
def test_an_erasure_meanwhile_leaves_no_index_and_no_answer(
    published: Published, tmp_path: Path, max_exact_rows: int
) -> None:
    folder, index_file = tmp_path / "export", tmp_path / "search" / "x.faiss"
    shutil.copytree(published.dataset, folder)
    dataset = RewrittenMeanwhile.open(folder, published.embedder)
    meant = {"max_exact_rows": max_exact_rows, "index_file": index_file}
    searcher = Searcher(dataset, published.embedder, published.corpus, **meant)
    for _ in range(2):  # what it holds is old, so it does not answer later either
        with pytest.raises(ArtifactError, match="rewritten or deleted while it was searched"):
            searcher.like_texts(["ship"], 60)
    assert not list(tmp_path.glob("search/*"))
    again = Searcher.open(
        dataset=folder, embedder=published.embedder, corpus=published.corpus, **meant
    )
    [hits] = again.like_texts(["ship"], 60)
    assert len(hits) <= 59
    assert index_file.exists() == (max_exact_rows == 10)
