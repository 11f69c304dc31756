"""The export benchmark counts what each system really embeds, and compares like with like."""

import gzip
import json
from pathlib import Path

import pytest

from tasks.embedder import Embedder
from tests.benchmarks.export_embedder import write_untrained
from tests.benchmarks.export_speed import as_json, fits_one_window, read_texts, run_rounds, table
from tests.benchmarks.export_systems import OURS, OURS_BF16, PEER, PEER_BF16, open_systems

TEXTS = ["a few words", "some more words than before", "so many words " * 40, "the last"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained") / "embedder"
    write_untrained(folder, TEXTS, size="tiny", vocab_size=300, max_window_tokens=64)
    return folder


def test_all_systems_agree_and_only_embedded_tokens_count(folder: Path) -> None:
    systems = open_systems(folder, TEXTS, device="cpu", tokens_per_batch=256)
    run_rounds(systems, 2)
    embedder = Embedder.load(folder)
    lengths = [len(ids) for ids in embedder.tokenize(TEXTS)]
    is_whole_T = fits_one_window(embedder, TEXTS)
    assert is_whole_T.tolist() == [True, True, False, True]
    rows = {row["system"]: row for row in as_json(systems, is_whole_T)}
    assert list(rows) == [OURS, OURS_BF16, PEER, PEER_BF16]
    assert rows[OURS]["num_tokens"] == sum(lengths)
    assert rows[PEER]["num_tokens"] == sum(min(length, 62) for length in lengths)
    assert all(len(row["wall_s_by_round"]) == 2 for row in rows.values())
    assert rows[PEER]["ratio_to_default"] == pytest.approx(1)
    assert rows[OURS]["least_cosine"] == pytest.approx(1, abs=1e-5)
    assert rows[OURS_BF16]["least_cosine"] > 0.999
    assert len(table(systems, is_whole_T)) == 5


def test_texts_are_drawn_evenly(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": str(number)}) + "\n" for number in range(11))
    (tmp_path / "t.jsonl").write_text(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert read_texts(tmp_path / "t.jsonl", None) == [str(number) for number in range(11)]
    assert read_texts(tmp_path / "t.jsonl.gz", 3) == ["0", "5", "10"]
    assert len(read_texts(tmp_path / "t.jsonl", 99)) == 11
