"""The tokenize stage writes every document's ids, mapped from disk, and rows that hold them all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Regex, Tokenizer, normalizers

from model.errors import ArtifactError, CorpusError
from tasks import token_batches
from tasks.tokenize.config import TokenizeConfig
from tasks.tokenize.stage import TOKENIZE
from tasks.tokens import TokenizedCorpus
from tasks.vocab.config import VocabConfig
from tasks.vocab.stage import VOCAB
from tests.tasks.vocab.inputs import Listener, Rows, context, files_of, small_rows, write_corpus

CONFIG = TokenizeConfig(row_tokens=64)
Patch = pytest.MonkeyPatch


def rows() -> Rows:
    giant = " ".join(text for _, text in small_rows()[:30])
    odd = [("train", giant), ("test", "[MASK] é 名前 \x00"), ("validation", "x")]
    return [*small_rows(), *odd]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tokenize")
    corpus = write_corpus(folder / "corpus", rows())
    VOCAB.run(context(VocabConfig(vocab_size=320), {"ingest": corpus}, folder / "vocab"))
    return {"ingest": corpus, "vocab": folder / "vocab"}


@pytest.fixture(scope="module")
def output(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenize") / "tokens"
    TOKENIZE.run(context(CONFIG, inputs, folder))
    return folder


@pytest.fixture
def tokens(output: Path) -> TokenizedCorpus:
    return TokenizedCorpus(output)


def expected_ids(inputs: dict[str, Path], split: str) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(inputs["vocab"] / "tokenizer.json"))
    return [tokenizer.encode(text).ids for name, text in rows() if name == split]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_documents_are_the_tokenizers_ids_in_corpus_order(
    inputs: dict[str, Path], tokens: TokenizedCorpus, split: str
) -> None:
    documents = tokens.documents(split)
    assert [ids.tolist() for ids in documents] == expected_ids(inputs, split)
    assert documents.lengths.tolist() == [len(ids) for ids in documents]
    assert documents[-1].tolist() == documents[len(documents) - 1].tolist()
    assert [len(ids) for ids in documents[3:6]] == documents.lengths[3:6].tolist()
    num_bytes = [len(text.encode()) for name, text in rows() if name == split]
    assert tokens.num_bytes(split).tolist() == num_bytes


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_documents_have_their_names(tokens: TokenizedCorpus, split: str) -> None:
    expected = [f"made#{number}" for number, (name, _) in enumerate(rows()) if name == split]
    assert tokens.document_ids(split, range(len(expected))) == expected
    assert tokens.document_ids(split, [2, 0, -1]) == [expected[2], expected[0], expected[-1]]
    assert tokens.document_ids(split, []) == []
    with pytest.raises(IndexError):
        tokens.document_ids(split, [len(expected)])


def test_names_do_not_depend_on_batches(
    inputs: dict[str, Path], tokens: TokenizedCorpus, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(token_batches, "BATCH_BYTES", 300)
    TOKENIZE.run(context(CONFIG, inputs, tmp_path))
    every = range(len(tokens.documents("train")))
    small = TokenizedCorpus(tmp_path)
    assert small.document_ids("train", every) == tokens.document_ids("train", every)


def test_tokens_of_the_first_version_are_read_but_have_no_names(
    output: Path, tokens: TokenizedCorpus, tmp_path: Path
) -> None:
    shutil.copytree(output, tmp_path / "tokens")
    for path in (tmp_path / "tokens/tokens").glob("*.arrow"):
        table = pa.ipc.open_file(pa.OSFile(str(path))).read_all().drop_columns(["doc_id"])
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    first = TokenizedCorpus(tmp_path / "tokens")
    assert first.documents("train").lengths.tolist() == tokens.documents("train").lengths.tolist()
    assert first.packed("train").num_rows == tokens.packed("train").num_rows
    with pytest.raises(ArtifactError, match=r"an earlier version made it: delete the artifact"):
        first.document_ids("train", [0])


def test_a_tokenizer_that_deletes_all_text_is_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    deleting = Tokenizer.from_file(str(inputs["vocab"] / "tokenizer.json"))
    deleting.normalizer = normalizers.Replace(Regex(r"[\s\S]+"), "")
    (tmp_path / "vocab").mkdir()
    deleting.save(str(tmp_path / "vocab/tokenizer.json"))
    with pytest.raises(CorpusError, match=r"no token of any of the corpus's 203 documents: give"):
        TOKENIZE.run(context(CONFIG, {**inputs, "vocab": tmp_path / "vocab"}, tmp_path / "tokens"))


def test_ids_are_narrow_views_of_the_file(tokens: TokenizedCorpus) -> None:
    ids = tokens.documents("train")[0]
    assert ids.dtype == np.uint16
    assert not ids.flags.owndata
    assert not ids.flags.writeable


def test_past_the_end_there_is_nothing(tokens: TokenizedCorpus) -> None:
    documents = tokens.documents("train")
    with pytest.raises(IndexError):
        documents[len(documents)]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_rows_hold_every_token_once(tokens: TokenizedCorpus, split: str) -> None:
    packed = tokens.packed(split)
    plan = packed.plan
    rebuilt = [np.zeros(len(ids), np.int64) - 1 for ids in tokens.documents(split)]
    pieces = iter(range(len(plan.piece_length)))
    for row in range(packed.num_rows):
        row_pieces = packed.row(row)
        assert sum(len(ids) + 2 for ids in row_pieces) <= CONFIG.row_tokens
        for ids in row_pieces:
            piece = next(pieces)
            start = plan.piece_start[piece]
            rebuilt[plan.piece_document[piece]][start : start + len(ids)] = ids
    for ids, copy in zip(tokens.documents(split), rebuilt, strict=True):
        assert copy.tolist() == ids.tolist()
    assert plan.num_tokens == tokens.documents(split).lengths.sum()


def test_the_summary_adds_up(tokens: TokenizedCorpus) -> None:
    summary = tokens.summary
    assert summary.row_tokens == 64
    assert summary.vocab_size == 320
    assert summary.special_ids == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    for split, totals in summary.splits.items():
        assert totals.num_documents == len(tokens.documents(split))
        assert totals.num_tokens == tokens.documents(split).lengths.sum()
        assert totals.num_text_bytes == tokens.num_bytes(split).sum()
    train = summary.splits["train"]
    assert train.num_rows == tokens.packed("train").num_rows
    assert train.fill_frac == tokens.packed("train").plan.fill_frac
    assert train.fill_frac > 0.99
    assert summary.splits["test"].num_rows is None


def test_metrics_agree_with_the_summary(inputs: dict[str, Path], tmp_path: Path) -> None:
    metrics = TOKENIZE.run(context(CONFIG, inputs, tmp_path))
    splits = TokenizedCorpus(tmp_path).summary.splits
    num_tokens = sum(split.num_tokens for split in splits.values())
    assert metrics["num_tokens"] == num_tokens
    assert metrics["num_train_tokens"] == splits["train"].num_tokens
    assert metrics["num_rows"] == splits["train"].num_rows
    assert metrics["fill_frac"] == splits["train"].fill_frac
    num_bytes = sum(len(text.encode()) for _, text in rows())
    assert metrics["bytes_per_token"] == pytest.approx(num_bytes / num_tokens)


def test_a_second_attempt_over_the_first_gives_the_same_bytes(
    inputs: dict[str, Path], output: Path, tmp_path: Path
) -> None:
    shutil.copytree(output, tmp_path / "tokens")
    (tmp_path / "tokens/tokens/train-00077.arrow").write_bytes(b"half a file")
    (tmp_path / "tokens/packing/test.arrow").write_bytes(b"stale")
    TOKENIZE.run(context(CONFIG, inputs, tmp_path / "tokens"))
    assert files_of(tmp_path / "tokens") == files_of(output)


def test_shards_that_an_earlier_attempt_has_encoded_are_not_encoded_again(
    inputs: dict[str, Path], output: Path, tmp_path: Path
) -> None:
    TOKENIZE.run(context(CONFIG, inputs, tmp_path))
    files = sorted((tmp_path / "tokens").iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}
    (tmp_path / "tokens/train-00001.arrow").write_bytes(b"damaged since")
    TOKENIZE.run(context(CONFIG, inputs, tmp_path))
    again = {path.name for path in files if path.stat().st_mtime_ns != before[path]}
    assert again == {f"{split}-00001.arrow" for split in ("train", "validation", "test")}
    assert files_of(tmp_path) == files_of(output)


def test_shards_of_another_corpus_are_encoded_again(
    inputs: dict[str, Path], output: Path, tmp_path: Path
) -> None:
    fewer = write_corpus(tmp_path / "corpus", rows()[:90])
    TOKENIZE.run(context(CONFIG, {**inputs, "ingest": fewer}, tmp_path / "tokens"))
    TOKENIZE.run(context(CONFIG, inputs, tmp_path / "tokens"))
    assert files_of(tmp_path / "tokens") == files_of(output)
    TOKENIZE.run(context(CONFIG, {**inputs, "ingest": fewer}, tmp_path / "tokens"))
    TOKENIZE.run(context(CONFIG, {**inputs, "ingest": fewer}, tmp_path / "afresh"))
    assert files_of(tmp_path / "tokens") == files_of(tmp_path / "afresh")


def test_batches_do_not_change_the_ids(
    inputs: dict[str, Path], output: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(token_batches, "BATCH_BYTES", 300)
    TOKENIZE.run(context(CONFIG, inputs, tmp_path))
    small, whole = TokenizedCorpus(tmp_path), TokenizedCorpus(output)
    for split in ("train", "validation", "test"):
        for one, other in zip(small.documents(split), whole.documents(split), strict=True):
            assert one.tolist() == other.tolist()
    assert files_of(tmp_path)["packing/train.arrow"] == files_of(output)["packing/train.arrow"]


@given(st.lists(st.integers(0, 3 * token_batches.BATCH_BYTES), max_size=30))
@settings(max_examples=100, deadline=None)
def test_batches_cover_all_texts_in_bounded_portions(sizes: list[int]) -> None:
    bounds = list(token_batches.batch_bounds(np.array(sizes, dtype=np.int64)))
    assert [i for start, end in bounds for i in range(start, end)] == list(range(len(sizes)))
    for start, end in bounds:
        assert end > start
        assert sum(sizes[start : end - 1]) <= token_batches.BATCH_BYTES


def test_a_vocabulary_past_16_bits_gets_wider_ids() -> None:
    assert str(token_batches.token_schema(65_536).field("token_ids").type.value_type) == "uint16"
    assert str(token_batches.token_schema(65_537).field("token_ids").type.value_type) == "int32"


def test_a_split_without_documents_reads_as_empty(inputs: dict[str, Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [("train", "a sail and a rope")])
    TOKENIZE.run(context(CONFIG, {**inputs, "ingest": corpus}, tmp_path / "tokens"))
    tokens = TokenizedCorpus(tmp_path / "tokens")
    assert len(tokens.documents("validation")) == 0
    assert tokens.documents("validation").lengths.tolist() == []
    assert tokens.packed("validation").num_rows == 0
    assert tokens.packed("train").num_rows == 1


def test_progress_counts_all_documents(inputs: dict[str, Path], tmp_path: Path) -> None:
    listener = Listener()
    TOKENIZE.run(context(CONFIG, inputs, tmp_path, listener))
    assert listener.heard[-1] == (203, 203, "documents")


def test_damage_is_reported_with_the_file(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "tokens")
    damaged = tmp_path / "tokens/tokens/train-00000.arrow"
    damaged.write_bytes(damaged.read_bytes()[:100])
    (tmp_path / "tokens/tokens.json").write_text(json.dumps({"row_tokens": 64}))
    tokens = TokenizedCorpus(tmp_path / "tokens")
    with pytest.raises(ArtifactError, match=r"train-00000\.arrow cannot be read"):
        tokens.documents("train")
    with pytest.raises(ArtifactError, match=r"tokens\.json cannot be read"):
        _ = tokens.summary
    with pytest.raises(ArtifactError, match="no tokens of split 'dev'"):
        tokens.documents("dev")
    with pytest.raises(ArtifactError, match=r"packing/test\.arrow cannot be read"):
        TokenizedCorpus(output).packed("test")


@pytest.mark.parametrize("wrong", [{"row_tokens": 2}, {"row_token": 64}])
def test_wrong_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TokenizeConfig.model_validate(wrong)
