"""The vocab stage learns from the training split alone, repeats itself, and says what it did."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from model.bpe.counting import count_words
from model.bpe.learner import learn
from model.bpe.reference import learn as learn_by_reference
from model.bpe.tokenizer import NUM_FIXED_TOKENS, SPECIAL_TOKENS, spell_merges
from model.bpe.words import CountedWords
from model.errors import CorpusError, RequestError
from tasks.store.staging import SCRATCH
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import merge_counts, write_counts
from tasks.vocab.stage import VOCAB
from tests.faults.table import Table
from tests.folders import shared_data
from tests.tasks.vocab.inputs import Listener, context, files_of, small_rows, write_corpus

CONFIG = VocabConfig(vocab_size=384, peer_bytes=2**15)


def run(corpus: Path, output: Path, config: VocabConfig = CONFIG) -> dict[str, float]:
    return VOCAB.run(context(config, {"ingest": corpus}, output))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("vocab") / "corpus", small_rows())


@pytest.fixture(scope="module")
def learned(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("vocab") / "learned"
    run(corpus, output)
    return output


def test_the_merges_are_the_references_on_the_training_split(learned: Path) -> None:
    words = count_words((text for split, text in small_rows() if split == "train"), "gpt4")
    expected = learn_by_reference(dict(words), num_merges=384 - NUM_FIXED_TOKENS)
    lines = (learned / "merges.txt").read_text("utf-8").splitlines()
    assert lines[0] == "#version: 0.2"
    assert [tuple(line.split(" ")) for line in lines[1:]] == spell_merges(expected)


def test_other_splits_teach_nothing(corpus: Path, learned: Path, tmp_path: Path) -> None:
    rows = [(s, t if s == "train" else "zq zq zq zq zq " * 50) for s, t in small_rows()]
    run(write_corpus(tmp_path / "corpus", rows), tmp_path / "learned")
    for name in ("tokenizer.json", "merges.txt"):
        assert (tmp_path / "learned" / name).read_bytes() == (learned / name).read_bytes()


def test_the_tokenizer_loads_and_loses_nothing(learned: Path) -> None:
    tokenizer = Tokenizer.from_file(str(learned / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 384
    for _, text in small_rows()[:50]:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_only_the_result_is_left_behind(learned: Path) -> None:
    tops = {name.split("/")[0] for name in files_of(learned)}
    assert tops == {*VOCAB.tracked_files, *VOCAB.quoting_files}


def test_order_of_documents_and_shards_does_not_change_the_tokenizer(
    learned: Path, tmp_path: Path
) -> None:
    shuffled = write_corpus(tmp_path / "corpus", small_rows()[::-1], documents_per_shard=17)
    run(shuffled, tmp_path / "learned")
    for name in ("tokenizer.json", "merges.txt"):
        assert (tmp_path / "learned" / name).read_bytes() == (learned / name).read_bytes()


def test_another_process_writes_the_same_bytes(corpus: Path, learned: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.tasks.vocab.test_vocab_stage import run;"
        "run(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, str(corpus), str(tmp_path / "again")]
    environment = {**os.environ, "PYTHONHASHSEED": "123", "TOKENIZERS_PARALLELISM": "false"}
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[3])
    assert files_of(tmp_path / "again") == files_of(learned)


def test_what_an_earlier_attempt_left_is_not_counted(
    corpus: Path, learned: Path, tmp_path: Path
) -> None:
    output = tmp_path / "learned"
    counts = output / SCRATCH / "counts"
    counts.mkdir(parents=True)
    (counts / "shard-00000.arrow").write_bytes(b"half a file")
    (counts / "shard-99999.arrow").write_bytes(b"of another corpus")
    run(corpus, output)
    assert files_of(output) == files_of(learned)


def test_shards_that_an_earlier_attempt_has_counted_are_not_counted_again(
    corpus: Path, learned: Path, tmp_path: Path
) -> None:
    output = tmp_path / "learned"
    run(corpus, output)
    first, second, *others = sorted((output / SCRATCH / "counts").glob("*.arrow"))
    before = {path: path.stat().st_mtime_ns for path in (first, second, *others)}
    first.write_bytes(first.read_bytes()[:-1])  # damaged since
    second.with_suffix(".json").write_text("{")
    run(corpus, output)
    assert {p for p in before if p.stat().st_mtime_ns != before[p]} == {first, second}
    assert len(others) >= 2
    assert files_of(output) == files_of(learned)


def test_metrics_agree_with_the_tokenizer(corpus: Path, tmp_path: Path) -> None:
    metrics = run(corpus, tmp_path / "learned")
    tokenizer = Tokenizer.from_file(str(tmp_path / "learned" / "tokenizer.json"))
    texts = {
        s: [text for split, text in small_rows() if split == s] for s in ("train", "validation")
    }
    num_tokens = {s: sum(len(tokenizer.encode(text).ids) for text in texts[s]) for s in texts}
    num_bytes = {s: sum(len(text.encode()) for text in texts[s]) for s in texts}
    by_token = {s: num_bytes[s] / num_tokens[s] for s in texts}
    assert metrics["bytes_per_token"] == pytest.approx(by_token["validation"])
    assert metrics["train_bytes_per_token"] == pytest.approx(by_token["train"])
    assert metrics["num_merges"] == 384 - NUM_FIXED_TOKENS
    assert metrics["vocab_size"] == 384


def test_a_corpus_out_of_pairs_stops_early_and_says_so(tmp_path: Path) -> None:
    rows = [("train", "abc abc abd"), ("validation", "abc")]
    listener = Listener()
    corpus = write_corpus(tmp_path / "corpus", rows)
    metrics = VOCAB.run(context(CONFIG, {"ingest": corpus}, tmp_path / "learned", listener))
    assert metrics["num_merges"] == 2  # "ab" stands there three times, then " ab" twice
    assert metrics["vocab_size"] == 320
    [warning] = listener.warnings
    assert "after 2 of 123 merges" in warning
    assert "vocab.vocab_size = 384" in warning


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_corpus_without_training_text_is_refused(tmp_path: Path, split: str) -> None:
    corpus = write_corpus(tmp_path / "corpus", [(split, "some text")])
    with pytest.raises(CorpusError, match="no training text"):
        run(corpus, tmp_path / "learned")


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no training text"):
        run(write_corpus(tmp_path / "corpus", []), tmp_path / "learned")


def test_a_corpus_without_validation_text_is_refused(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [("train", "some text some text")])
    with pytest.raises(CorpusError, match="no validation text"):
        run(corpus, tmp_path / "learned")


def test_progress_counts_documents_then_merges(corpus: Path, tmp_path: Path) -> None:
    listener = Listener()
    VOCAB.run(context(CONFIG, {"ingest": corpus}, tmp_path / "learned", listener))
    assert (160, 160, "documents") in listener.heard
    assert listener.heard[-1] == (123, 123, "merges")


def test_top_k_and_pattern_reach_the_learner(corpus: Path, learned: Path, tmp_path: Path) -> None:
    batched = VocabConfig(vocab_size=384, top_k=50, pattern="gpt2", peer_bytes=2**15)
    metrics = run(corpus, tmp_path / "learned", batched)
    assert metrics["num_rounds"] < 123 / 5
    assert (tmp_path / "learned/merges.txt").read_text() != (learned / "merges.txt").read_text()


def test_two_threads_write_the_same_bytes(corpus: Path, learned: Path, tmp_path: Path) -> None:
    def map_in_threads(function: Any, shards: Sequence[Any], *, name: str) -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(function, shards))

    made = context(CONFIG, {"ingest": corpus}, tmp_path / "learned")
    VOCAB.run(replace(made, map_shards=map_in_threads))
    assert files_of(tmp_path / "learned") == files_of(learned)


@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece", "words"])
def test_the_librarys_algorithms(corpus: Path, tmp_path: Path, algorithm: str) -> None:
    config = VocabConfig(vocab_size=384, algorithm=algorithm, peer_bytes=2**15)
    metrics = run(corpus, tmp_path / "learned", config)
    tokenizer = Tokenizer.from_file(str(tmp_path / "learned" / "tokenizer.json"))
    assert metrics["vocab_size"] == tokenizer.get_vocab_size() <= 384
    assert [tokenizer.token_to_id(name) for name in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert json.loads(tokenizer.to_str())["model"]["type"].lower() in (algorithm, "wordlevel")
    assert not (tmp_path / "learned" / "merges.txt").exists()


def test_a_library_that_finds_fewer_tokens_than_asked_for_is_said(tmp_path: Path) -> None:
    rows = [("train", "abc abc abd"), ("validation", "abc")]
    listener = Listener()
    corpus = write_corpus(tmp_path / "corpus", rows)
    config = VocabConfig(vocab_size=384, algorithm="words")
    VOCAB.run(context(config, {"ingest": corpus}, tmp_path / "learned", listener))
    [warning] = listener.warnings
    assert warning.startswith("the corpus gave words no more than 2 tokens")


def test_characters_with_the_end_of_words(corpus: Path, tmp_path: Path) -> None:
    config = VocabConfig(vocab_size=384, symbols="characters", peer_bytes=2**15)
    metrics = run(corpus, tmp_path / "learned", config)
    tokenizer = Tokenizer.from_file(str(tmp_path / "learned" / "tokenizer.json"))
    text = " ".join(small_rows()[0][1].split())
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    train = [text for split, text in small_rows() if split == "train"]
    num_tokens = sum(len(tokenizer.encode(text).ids) for text in train)
    num_bytes = sum(len(text.encode()) for text in train)
    assert metrics["train_bytes_per_token"] == pytest.approx(num_bytes / num_tokens, rel=1e-2)


def test_more_characters_than_tokens_are_refused(tmp_path: Path) -> None:
    many = " ".join(chr(0x4E00 + number) for number in range(500))
    corpus = write_corpus(tmp_path / "corpus", [("train", many), ("validation", many)])
    with pytest.raises(CorpusError, match=r"501 characters, more than the 379 .*symbols = bytes"):
        run(corpus, tmp_path / "learned", VocabConfig(vocab_size=384, symbols="characters"))


def test_an_existing_tokenizer_is_taken_over(corpus: Path, learned: Path, tmp_path: Path) -> None:
    given = VocabConfig(tokenizer=learned / "tokenizer.json", peer_bytes=2**15)
    run(corpus, tmp_path / "taken", given)
    one, other = (
        json.loads((f / "tokenizer.json").read_text("utf-8")) for f in (learned, tmp_path / "taken")
    )
    assert one["model"] == other["model"]


def test_files_that_are_named_are_known_by_their_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    for path in (one, other):
        path.write_text("un-\n-ness\n")
    assert VOCAB.sources is not None
    known = [VOCAB.sources(VocabConfig(affixes=path)) for path in (one, other)]
    assert known[0] == known[1]
    one.write_text("re-\n")
    assert VOCAB.sources(VocabConfig(affixes=one)) != known[1]
    assert VOCAB.sources(VocabConfig()) is None
    with pytest.raises(RequestError, match=r"vocab\.conllu: .* is not a file"):
        VOCAB.sources(VocabConfig(conllu=tmp_path / "absent.conllu"))


@pytest.mark.parametrize(("max_pretokens", "num_kept"), [(1000, 1000), (None, 1501)])
def test_rare_pretokens_are_left_out_only_when_asked_and_that_is_said(
    tmp_path: Path, max_pretokens: int | None, num_kept: int
) -> None:
    names = ["".join(letters) for letters in product("bdfgkmnpst", "aeiouy", "lmnpr", "aeiou")]
    text = "\n".join(names)  # 1,500 names and the line end
    corpus = write_corpus(tmp_path / "corpus", [("train", text), ("validation", "bala dela")])
    listener = Listener()
    config = VocabConfig(vocab_size=300, max_pretokens=max_pretokens, peer_bytes=2**15)
    metrics = VOCAB.run(context(config, {"ingest": corpus}, tmp_path / "out", listener))
    assert metrics["num_distinct_pretokens"] == num_kept
    if max_pretokens is None:
        assert not listener.warnings
    else:
        [warning] = listener.warnings
        assert "max_pretokens = 1,000 leaves out the rarest 501 of 1,501" in warning


def test_the_most_frequent_pretokens_are_kept_exactly(tmp_path: Path) -> None:
    counts = {f"w{number:05x}".encode(): 1 + number % 7 for number in range(4000)}
    words = CountedWords.from_pairs(counts.items())
    halves = [CountedWords.from_pairs(list(counts.items())[part::2]) for part in (0, 1)]
    paths = [tmp_path / f"{number}.arrow" for number in range(3)]
    for part, path in zip((*halves, words), paths, strict=True):
        write_counts(part, path)
    whole = merge_counts(paths, None)
    assert dict(whole.words) == {word: 2 * count for word, count in counts.items()}
    some = merge_counts(paths[::-1], 1000)
    assert (some.num_distinct, some.num_bytes) == (4000, whole.num_bytes)
    assert list(some.words) == list(whole.words)[:1000]


@pytest.mark.parametrize("language", ["tha", "cmn_hans", "jpn"])
@pytest.mark.parametrize("symbols", ["bytes", "characters"])
def test_languages_without_spaces(tmp_path: Path, language: str, symbols: str) -> None:
    text = (shared_data("udhr_encodings") / "utf8" / f"{language}.txt").read_text("utf-8")
    paragraphs = [line for line in text.splitlines() if line.strip()]
    rows = [("validation" if n % 8 == 7 else "train", line) for n, line in enumerate(paragraphs)]
    corpus = write_corpus(tmp_path / "corpus", rows)
    config = VocabConfig(vocab_size=1024, symbols=symbols, peer_bytes=2**16)
    metrics = run(corpus, tmp_path / "out", config)
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert metrics["num_merges"] > 100
    assert metrics["bytes_per_token"] > 2.5  # a character takes three bytes
    if symbols == "bytes":
        assert all(tokenizer.decode(tokenizer.encode(line).ids) == line for line in paragraphs)


def test_a_word_of_a_million_characters_takes_under_two_seconds() -> None:
    word = "".join(Random(0).choices("ACGT", k=10**6))
    words = count_words([word], "gpt4")
    learn(words, num_merges=1)  # compiled and in memory
    started = time.process_time()
    learned = learn(count_words([word], "gpt4"), num_merges=252)
    assert time.process_time() - started < 2
    assert len(learned.merges) == 252


@pytest.mark.faults
@pytest.mark.parametrize("character", [" ", "x", "\n"])
def test_ten_million_of_one_character_take_linear_time(character: str, table: Table) -> None:
    learn(count_words(["ab ab"], "gpt4"), num_merges=1)  # compiled and in memory
    started = time.process_time()
    learned = learn(count_words([character * 10**7], "gpt4"), num_merges=252)
    assert time.process_time() - started < 20
    assert len(learned.merges) == 22  # until no pair is left twice
    table.add(f"ten million {character!r} in a row", "vocab", "in linear time")


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_size": 260},
        {"top_k": 0},
        {"algorithm": "superbpe"},
        {"symbols": "characters", "algorithm": "unigram"},
        {"symbols": "characters", "tokenizer": "tokenizer.json"},
        {"max_pretokens": 10},
        {"peer_bytes": 0},
        {"pattern": "gpt5"},
        {"min_frequency": 0},
        {"vocabsize": 512},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VocabConfig.model_validate(wrong)


def test_a_vocabulary_of_bytes_alone(corpus: Path, tmp_path: Path) -> None:
    config = VocabConfig(vocab_size=NUM_FIXED_TOKENS, pad_to_multiple=1, peer_bytes=2**15)
    metrics = run(corpus, tmp_path / "learned", config)
    assert metrics["num_merges"] == 0
    assert metrics["vocab_size"] == NUM_FIXED_TOKENS
    assert metrics["bytes_per_token"] == 1
