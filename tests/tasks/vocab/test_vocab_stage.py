"""The vocab stage learns from the training split alone, repeats itself, and says what it did."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from model.bpe.reference import learn as learn_by_reference
from model.bpe.tokenizer import NUM_FIXED_TOKENS, spell_merges
from model.errors import CorpusError
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import count_pretokens
from tasks.vocab.stage import VOCAB
from tests.tasks.vocab.inputs import Listener, context, files_of, small_rows, write_corpus

CONFIG = VocabConfig(vocab_size=384)


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
    counts = count_pretokens((text for split, text in small_rows() if split == "train"), "gpt4")
    words = {pretoken.encode(): count for pretoken, count in counts.items()}
    expected = learn_by_reference(words, num_merges=384 - NUM_FIXED_TOKENS)
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
    assert sorted(files_of(learned)) == ["merges.txt", "report.json", "tokenizer.json"]


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
    (output / "counts").mkdir(parents=True)
    (output / "counts" / "shard-99999.parquet").write_bytes(b"half a file")
    run(corpus, output)
    assert files_of(output) == files_of(learned)


def test_the_report_says_how_text_is_cut(learned: Path) -> None:
    report = json.loads((learned / "report.json").read_text("utf-8"))
    assert len(report["examples"]) == 10
    for shown in report["examples"]:
        for tokens in shown["cuts"].values():
            assert "".join(tokens) == shown["pretoken"]
        assert len(shown["cuts"]["10"]) >= len(shown["cuts"]["100"]) >= len(shown["cuts"]["all"])
    assert report["first_merges"][0] in (learned / "merges.txt").read_text("utf-8")


def test_the_report_sets_peers_of_the_same_size_beside_it(learned: Path) -> None:
    report = json.loads((learned / "report.json").read_text("utf-8"))
    peers = {row["system"]: row for row in report["peers"]["rows"]}
    assert list(peers) == ["bpe", "wordpiece", "unigram", "words"]
    assert all(0 < row["vocab_size"] <= 384 for row in peers.values())
    assert all(row["bytes_per_token"] > 1 for row in peers.values())
    assert peers["bpe"]["unknown_frac"] == 0


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
    batched = VocabConfig(vocab_size=384, top_k=50, pattern="gpt2")
    metrics = run(corpus, tmp_path / "learned", batched)
    assert metrics["num_rounds"] < 123 / 5
    assert (tmp_path / "learned/merges.txt").read_text() != (learned / "merges.txt").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_size": 260},
        {"top_k": 0},
        {"algorithm": "unigram"},
        {"pattern": "gpt5"},
        {"min_frequency": 0},
        {"vocabsize": 512},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VocabConfig.model_validate(wrong)


def test_a_vocabulary_of_bytes_alone(corpus: Path, tmp_path: Path) -> None:
    config = VocabConfig(vocab_size=NUM_FIXED_TOKENS, pad_to_multiple=1)
    metrics = run(corpus, tmp_path / "learned", config)
    assert metrics["num_merges"] == 0
    assert metrics["vocab_size"] == NUM_FIXED_TOKENS
    assert metrics["bytes_per_token"] == 1
