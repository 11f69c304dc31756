"""The report: complete for every kind of vocabulary, repeatable, and quoting only where it may."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.stage import Metrics
from tasks.vocab.config import VocabConfig
from tasks.vocab.report.pitfall_wording import WORDINGS
from tasks.vocab.report.writing import NUMBER_FILES, QUOTING_FILES, report_on
from tasks.vocab.vocabulary import Vocabulary
from tests.tasks.vocab.inputs import Rows, files_of, small_rows, write_corpus
from tests.tasks.vocab.report.made import make_vocabulary, train_texts, write_affixes

SMALL = VocabConfig(vocab_size=384, peer_bytes=2**15)
TREEBANK = "1\tShips\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n2\t.\t_\t_\t_\t_\t_\t_\t_\t_\n"


def report(
    output: Path, config: VocabConfig, rows: Rows | None = None, given: Vocabulary | None = None
) -> tuple[Metrics, dict[str, Any]]:
    """Make a vocabulary of the rows, report on it, and read what was written."""
    rows = rows or small_rows()
    corpus = Corpus(write_corpus(output / "corpus", rows))
    folder = output / "report"
    folder.mkdir()
    vocabulary = given or make_vocabulary(train_texts(rows), config)
    metrics = report_on(vocabulary, corpus, config, folder)
    return metrics, json.loads((folder / "report.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("report")
    treebank = folder / "a.conllu"
    treebank.write_text(TREEBANK, "utf-8")
    update = {"affixes": write_affixes(folder / "affixes.txt"), "conllu": treebank}
    metrics, content = report(folder, SMALL.model_copy(update=update))
    return folder / "report", metrics, content


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_all_files_are_written(made: tuple[Path, Metrics, dict[str, Any]]) -> None:
    folder, _, _ = made
    assert {name.split("/")[0] for name in files_of(folder)} == {*QUOTING_FILES, *NUMBER_FILES}


def test_metrics_have_the_names_that_are_tracked(
    made: tuple[Path, Metrics, dict[str, Any]],
) -> None:
    _, metrics, _ = made
    assert metrics.keys() >= {
        "bytes_per_token",
        "single_byte_frac",
        "fertility",
        "train_bytes_per_token",
        "num_merges",
        "num_rounds",
        "vocab_size",
        "num_distinct_pretokens",
        "words_kept_whole_frac",
        "unknown_word_frac",
        "renyi_efficiency",
        "unused_token_frac",
        "unigram_bytes_per_token",
        "wordpiece_fertility",
        "words_unknown_word_frac",
        "bpe_sample_bytes_per_token",
        "affix_boundary_f1",
        "conllu_boundary_recall",
        "unigram_affix_boundary_f1",
    }
    assert metrics["vocab_size"] == 384
    assert metrics["unknown_word_frac"] == 0
    assert metrics["lossless_frac"] == 1
    fracs = [value for name, value in metrics.items() if name.endswith("_frac")]
    assert all(0 <= value <= 1 for value in fracs)


def test_metrics_agree_with_the_tokenizer(made: tuple[Path, Metrics, dict[str, Any]]) -> None:
    _, metrics, _ = made
    tokenizer = Tokenizer.from_str(make_vocabulary(train_texts(small_rows()), SMALL).definition)
    texts = [text for split, text in small_rows() if split == "validation"]
    tokens = [token for text in texts for token in tokenizer.encode(text).tokens]
    num_bytes = sum(len(text.encode()) for text in texts)
    assert metrics["bytes_per_token"] == pytest.approx(num_bytes / len(tokens))
    assert metrics["fertility"] == pytest.approx(len(tokens) / sum(len(t.split()) for t in texts))
    single = sum(len(token) == 1 for token in tokens)
    assert metrics["single_byte_frac"] == pytest.approx(single / len(tokens))


def test_peers_are_of_the_same_size_and_the_sample_is_the_fair_row(
    made: tuple[Path, Metrics, dict[str, Any]],
) -> None:
    _, _, content = made
    rows = {row["system"]: row for row in content["peers"]["rows"]}
    assert list(rows) == ["bpe", "bpe_sample", "unigram", "wordpiece", "words"]
    assert all(row["vocab_size"] <= 384 for row in rows.values())
    assert rows["bpe"]["is_subject"]
    assert rows["bpe_sample"]["num_usable_tokens"] == rows["bpe"]["num_usable_tokens"]
    assert rows["bpe_sample"]["bytes_per_token"] != rows["bpe"]["bytes_per_token"]
    assert rows["wordpiece"]["lossless_frac"] == 0  # it sets a space before every full stop
    assert content["peers"]["num_train_bytes"] <= 2**15


def test_a_sample_that_is_all_of_the_text_needs_no_second_row(tmp_path: Path) -> None:
    _, content = report(tmp_path, SMALL.model_copy(update={"peer_bytes": 2**20}))
    systems = [row["system"] for row in content["peers"]["rows"]]
    assert systems == ["bpe", "unigram", "wordpiece", "words"]


def test_tables_are_tidy_and_hold_no_text(made: tuple[Path, Metrics, dict[str, Any]]) -> None:
    folder, metrics, content = made
    peers = table(folder / "peers.parquet")
    own = {row["measure"]: row["value"] for row in peers if row["is_subject"]}
    assert own["bytes_per_token"] == metrics["bytes_per_token"]
    sizes = table(folder / "sizes.parquet")
    last = [row for row in sizes if row["vocab_size"] == 384]
    assert {(row["split"], row["measure"]): row["value"] for row in last}[
        "train", "bytes_per_token"
    ] == metrics["train_bytes_per_token"]
    texts = {v for row in (*peers, *sizes) for v in row.values() if isinstance(v, str)}
    assert all(re.fullmatch(r"[a-z0-9_]+", text) for text in texts)
    assert content["sizes"][-1]["vocab_size"] == 384


def test_the_page_answers_in_the_order_a_reader_asks(
    made: tuple[Path, Metrics, dict[str, Any]],
) -> None:
    folder, _, content = made
    page = (folder / "report.html").read_text("utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "Beside other vocabularies of its size",
        "Which size?",
        "How are words cut?",
        "Where do cuts look bad?",
        "What does BPE lose against rule-based words?",
        "What would a naive implementation get wrong here?",
        "How it was measured",
    ]
    assert {one["name"] for one in content["naive_implementation"]} == set(WORDINGS)
    assert all(f"{wording.title}." in page for wording in WORDINGS.values())
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower().split()
    assert "greedy choice" in page


def test_the_report_is_the_same_again(
    made: tuple[Path, Metrics, dict[str, Any]], tmp_path: Path
) -> None:
    folder, metrics, _ = made
    update = {
        "affixes": folder.parent / "affixes.txt",
        "conllu": folder.parent / "a.conllu",
    }
    again, _ = report(tmp_path, SMALL.model_copy(update=update))
    assert again == metrics
    assert files_of(tmp_path / "report") == files_of(folder)


@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece", "words"])
def test_without_merges_the_parts_about_them_are_absent(algorithm: str, tmp_path: Path) -> None:
    metrics, content = report(tmp_path, SMALL.model_copy(update={"algorithm": algorithm}))
    folder = tmp_path / "report"
    tops = {name.split("/")[0] for name in files_of(folder)}
    assert tops == {"peers.parquet", "plots", "report.html", "report.json"}
    systems = {row["system"] for row in content["peers"]["rows"]}
    assert systems == {"bpe", "unigram", "wordpiece", "words", f"{algorithm}_sample"}
    assert "bpe_fertility" in metrics
    assert "num_merges" not in metrics
    headings = re.findall(r"<h2>(.*?)</h2>", (folder / "report.html").read_text("utf-8"))
    assert "Which size?" not in headings
    assert headings[-1] == "How it was measured"


def test_a_given_tokenizer_is_measured_beside_all_four(tmp_path: Path) -> None:
    definition = make_vocabulary(train_texts(small_rows()), SMALL).definition
    given = Vocabulary(algorithm="given", definition=definition)
    metrics, content = report(tmp_path, SMALL, given=given)
    systems = [row["system"] for row in content["peers"]["rows"]]
    assert systems == ["given", "bpe", "unigram", "wordpiece", "words"]
    assert metrics["bytes_per_token"] > 1


def test_characters_lose_what_the_report_says(tmp_path: Path) -> None:
    rows = [*small_rows(), ("validation", "the  ship 字")]
    metrics, content = report(tmp_path, SMALL.model_copy(update={"symbols": "characters"}), rows)
    assert 0 < metrics["unknown_word_frac"] < 0.1
    assert metrics["lossless_frac"] < 1
    assert "single_byte_frac" not in metrics
    names = {one["name"] for one in content["naive_implementation"]}
    assert names == set(WORDINGS) - {"other_cuts"}
    assert "inside_characters" not in {one["rule"] for one in content["doubtful_cuts"]}


def test_a_peer_that_cannot_be_learned_is_named_with_its_reason(tmp_path: Path) -> None:
    rows = [("train", "".join(map(chr, range(0x4E00, 0x4E00 + 500)))), ("validation", "字 a")]
    metrics, content = report(tmp_path, SMALL, rows)
    omitted = {one["name"]: one["reason"] for one in content["peers"]["omitted"]}
    assert "unigram" in omitted
    assert "characters alone" in omitted["unigram"]
    page = (tmp_path / "report/report.html").read_text("utf-8")
    assert "Unigram is left out" in page
    assert "unigram_fertility" not in metrics


def test_text_of_documents_cannot_change_the_page(tmp_path: Path) -> None:
    hostile = "<script>alert('x')</script> &amp; \x00 [UNK] [MASK] "
    rows = [("train", hostile * 30), ("validation", hostile * 5)]
    report(tmp_path, SMALL, rows)
    assert "<script" not in (tmp_path / "report/report.html").read_text("utf-8")


@pytest.mark.parametrize("vocab_size", [261, 262])
def test_hardly_any_merges_are_reported_too(vocab_size: int, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"vocab_size": vocab_size})
    metrics, _ = report(tmp_path, config)
    assert metrics["num_merges"] == vocab_size - 261


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_validation_text_without_words_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no validation text"):
        report(tmp_path, SMALL, [("train", "some text some text"), ("validation", text)])
