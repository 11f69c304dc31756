"""The vocabulary benchmark times the same work for all, and its table says what was measured."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from model.bpe.counting import count_words
from model.bpe.learner import learn
from model.bpe.tokenizer import PATTERNS, tokenizer_json
from tests.benchmarks import vocab_ours, vocab_peers
from tests.benchmarks.children import Spent
from tests.benchmarks.vocab_exactness import (
    CONFIGURATIONS,
    Compared,
    Configuration,
    different_merges,
    different_segmentation,
    different_total,
    different_vocab,
    first_texts,
    line_of,
)
from tests.benchmarks.vocab_peers import measured
from tests.benchmarks.vocab_speed import FORMS, PEERS, thread_limits, write_first, write_tiny
from tests.benchmarks.vocab_table import Row, as_json, table

TEXTS = ["the cat sat on the mat\n  and the cat's mat sat", "naïve 词汇 the the", "", "cat\n\nmat"]


def spent(cpu_s: float, wall_s: float = 1.0, peak_bytes: int = 10**8, **report: Any) -> Spent:
    found = {"cpu_s": cpu_s, "wall_s": wall_s, "bytes_before": 10**7, "num_merges": 5, **report}
    return Spent(cpu_s + 1, wall_s + 1, peak_bytes, 0, found)


def rows() -> list[Row]:
    def row(system: str, totals: list[float], counts: list[float], **report: Any) -> Row:
        runs = [spent(seconds, **report) for seconds in totals]
        return Row(system, 100.0, 1, runs, [spent(seconds) for seconds in counts])

    return [
        row("corpusmith", [4, 3, 5], [2.5, 1, 2], count_cpu_s=2.0, learn_cpu_s=1.5),
        row("tokenizers", [40, 50, 45], [30, 31, 29]),
        row("gigabpe", [5, 5, 5], [2, 2, 2]),
        row("read", [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]),
    ]


def test_medians_are_taken_over_rounds_and_learning_within_each() -> None:
    ours = rows()[0]
    assert (ours.total_s, ours.count_s, ours.learn_s) == (4, 2, 2)
    assert ours.own_phases == (2.0, 1.5)
    assert ours.peak_bytes == 10**8


def test_ratios_are_to_the_same_corpus_and_threads() -> None:
    other = Row("tokenizers", 30.0, 1, [spent(1)], [spent(0.5)])
    found = {each["system"]: each for each in as_json([*rows(), other][:4])}
    assert found["corpusmith"]["times_tokenizers"] == 45 / 4
    assert found["corpusmith"]["times_tokenizers_learning"] == 16 / 2
    assert found["corpusmith"]["of_gigabpe"] == 4 / 5
    assert found["tokenizers"]["of_gigabpe"] == 9
    assert found["read"]["times_tokenizers"] is None
    assert found["gigabpe"]["total_cpu_s_by_round"] == [5, 5, 5]
    alone = Row("corpusmith", 100.0, 2, [spent(1)], [spent(0.5)])
    assert as_json([*rows(), alone])[-1]["times_tokenizers"] is None


def test_the_table_has_a_line_for_each_row() -> None:
    lines = table(rows())
    assert [line.split()[0] for line in lines[1:5]] == [row.system for row in rows()]
    assert "2.00 + 1.50" in lines[1]
    assert "11.25" in lines[1]
    assert "(3.00-5.00)" in lines[1]
    json.dumps(as_json(rows()))


def test_peers_get_the_pattern_that_we_cut_by() -> None:
    assert PATTERNS[vocab_ours.PATTERN] == vocab_peers.GPT2
    assert set(PEERS) == set(vocab_peers.PEERS)
    assert set(FORMS.values()) == set(vocab_ours.FORMS)


@pytest.mark.parametrize("num_threads", [1, 2, 3])
@pytest.mark.parametrize("form", ["texts", "arrays"])
def test_how_documents_are_handed_over_and_shared_does_not_show(
    form: str, num_threads: int
) -> None:
    shares = vocab_ours.FORMS[form](TEXTS, num_threads)
    assert len(shares) == num_threads
    assert list(vocab_ours.count_shares(shares)) == list(count_words(TEXTS, "gpt2"))


def test_lines_are_documents_with_their_newlines() -> None:
    lines = ["a b\n", "  c\u2028d\n", "\n", "e\n"]
    shares = vocab_ours.share_lines(["a b\n  c\u2028d\n", "e"], 2)
    assert list(vocab_ours.count_shares(shares)) == list(count_words(lines, "gpt2"))


def test_the_librarys_trainer_learns_as_many_merges(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), "utf-8")
    train = vocab_peers.prepare_tokenizers(corpus, 256 + 10, 1, tmp_path)
    num_merges, spent_on_it = measured(train)
    words = count_words(TEXTS, "gpt2")
    assert num_merges == len(vocab_ours.learn_merges(words, 10).merges) == 10
    assert 0 <= spent_on_it["cpu_s"] < 5
    lines = vocab_peers.write_lines(corpus, tmp_path).read_text("utf-8")
    assert lines == "".join(text + "\n" for text in TEXTS)
    assert measured(vocab_peers.prepare_tokenizers(corpus, 256, 1, tmp_path))[0] == 0


def test_what_is_measured_is_the_call() -> None:
    found, spent_on_it = measured(lambda: sum(range(3_000_000)))
    assert found == 4499998500000
    assert 0 < spent_on_it["cpu_s"] < 5
    assert spent_on_it["wall_s"] > 0


def test_a_corpus_is_cut_after_whole_documents(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"text": "é" * 50}, ensure_ascii=False) + "\n" for _ in range(30)]
    corpus.write_text("".join(lines), "utf-8")
    first = write_first(corpus, 450 / 1e6, tmp_path)
    assert first.read_text("utf-8").splitlines(keepends=True) == lines[:5]
    assert len(write_tiny(corpus).read_text("utf-8").splitlines()) == 20
    with pytest.raises(SystemExit, match="less than"):
        write_first(corpus, 1, tmp_path)


def test_children_are_told_how_many_threads_they_may_use() -> None:
    command = [*thread_limits(2)]
    assert command[0] == "env"
    assert {"RAYON_NUM_THREADS=2", "TOKENIZERS_PARALLELISM=true"} <= set(command)
    assert "TOKENIZERS_PARALLELISM=false" in [*thread_limits(1)]
    assert "RAYON_NUM_THREADS" not in os.environ


def test_exactness_is_checked_in_at_least_six_configurations() -> None:
    assert len({each.name for each in CONFIGURATIONS}) == len(CONFIGURATIONS) >= 6
    assert {each.pattern for each in CONFIGURATIONS} == {"gpt2", "gpt4"}
    assert {each.min_frequency for each in CONFIGURATIONS} == {1, 2}
    assert {each.vocab_size for each in CONFIGURATIONS} == {8192, 32768, 65536}


def test_every_kind_of_difference_is_found() -> None:
    words = count_words(TEXTS, "gpt2")
    learned = learn(words, num_merges=10)
    fewer = tokenizer_json(learned.merges[:-1], pattern="gpt2")
    assert "encoded in another way" in different_segmentation(words, learned, fewer)
    assert "documents are" in different_total(TEXTS, learned, fewer)
    same = tokenizer_json(learned.merges, pattern="gpt2")
    assert different_segmentation(words, learned, same) == ""
    assert different_total(TEXTS, learned, same) == ""
    assert "belong to no word" in different_segmentation(words.first(len(words) - 1), learned, same)


def test_differing_merges_and_vocabularies_are_named() -> None:
    merges = [("a", "b"), ("ab", "c")]
    theirs = [list(pair) for pair in merges]
    assert different_merges(merges, theirs) == ""
    assert different_merges(merges, theirs[:1]) == "2 merges and theirs 1"
    assert "merge 1 is ('ab', 'c')" in different_merges(merges, [["a", "b"], ["b", "c"]])
    ours = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5, "b": 6}
    assert different_vocab(ours, {"a": 0, "b": 1}) == ""
    assert "2 entries" in different_vocab(ours, {"a": 0, "b": 2})
    assert "1 entries" in different_vocab(ours, {"a": 0})


def test_a_line_says_how_a_configuration_came_out() -> None:
    configuration = Configuration("gpt4", 32768, 2)
    assert "equal, 5 merges" in line_of(Compared(configuration, 5, 9, []), 30)
    assert "gpt4-32k-min2    30 MB: a; b" in line_of(Compared(configuration, 5, 9, ["a", "b"]), 30)
    assert first_texts(["aa", "bb", "cc"], 3) == ["aa", "bb"]
    with pytest.raises(SystemExit, match="less than asked for"):
        first_texts(["aa"], 3)
