"""The pretraining benchmark's peer sees the same text, and is asked the same questions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.batch import batch_from_rows
from model.masked_batches import MaskedBatch
from model.state import TrainingState
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.run import PretrainingRun, prepare
from tasks.stage import StageContext
from tests.benchmarks import pretrain_ours
from tests.benchmarks.pretrain_blocks import group_texts, grouped_blocks, read_documents
from tests.benchmarks.pretrain_pieces import evaluate, padded_batches, read_pieces
from tests.tasks.pretrain.runs import QUICK, upstream

CLS, SEP = 2, 3


def plain_group_texts(documents: list[np.ndarray], block_tokens: int) -> list[list[int]]:
    """What run_mlm.py's function does, with plain lists, a thousand documents at a time."""
    blocks = []
    for start in range(0, len(documents), 1000):
        batch = documents[start : start + 1000]
        joined = [each for document in batch for each in [CLS, *document.tolist(), SEP]]
        total = (len(joined) // block_tokens) * block_tokens
        blocks += [joined[at : at + block_tokens] for at in range(0, total, block_tokens)]
    return blocks


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("upstream")
    upstream(root)
    return root


def prepared(root: Path, output: Path, clock: pretrain_ours.StepClock) -> PretrainingRun:
    torch.set_num_threads(1)
    config = PretrainConfig(**{**QUICK, "max_steps": 6, "validations": 3, "num_checkpoints": 4})
    return prepare(StageContext(config, upstream(root), output, clock))


@pytest.mark.parametrize("num_documents", [1, 7, 2003])
def test_documents_are_grouped_as_run_mlm_does_it(num_documents: int) -> None:
    generator = np.random.default_rng(num_documents)
    lengths = generator.integers(1, 40, num_documents)
    documents = [generator.integers(5, 300, length).astype(np.uint16) for length in lengths]
    blocks = group_texts(documents, 16, CLS, SEP)
    assert blocks.dtype == np.int64
    assert blocks.tolist() == plain_group_texts(documents, 16)


def test_blocks_hold_the_training_split(root: Path) -> None:
    blocks, packing = grouped_blocks(root / "tokenize")
    num_tokens = sum(map(len, read_documents(root / "tokenize")))
    assert blocks.shape == (packing["num_rows"], 64)
    num_text = int((blocks > SEP).sum())
    assert num_text + packing["num_dropped_tokens"] == num_tokens
    assert packing["text_frac"] == num_text / blocks.size


def test_the_dumped_pieces_are_asked_alike(root: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    run = prepared(root, tmp_path, pretrain_ours.StepClock())
    losses = pretrain_ours.dump(run, tmp_path / "dump")
    peer = AutoModelForMaskedLM.from_pretrained(tmp_path / "dump", attn_implementation="sdpa")
    for name, sparse in (("gate", False), ("gate", True), ("validation", True)):
        pieces = read_pieces(tmp_path / "dump" / f"{name}.npz")
        found = evaluate(peer, pieces, autocast=False, sparse=sparse)
        assert found["num_targets"] == losses[name]["num_targets"] > 0
        assert found["loss"] == pytest.approx(losses[name]["loss"], abs=1e-5)
        assert found["bits_per_byte"] == pytest.approx(losses[name]["bits_per_byte"], abs=1e-5)


def masked(rows: list[list[list[int]]], positions: list[int], targets: list[int]) -> MaskedBatch:
    pieces = [[np.array(piece) for piece in row] for row in rows]
    batch = batch_from_rows(pieces, row_tokens=8, cls_id=CLS, sep_id=SEP, pad_id=0)
    places, wanted = torch.tensor(positions), torch.tensor(targets)
    return MaskedBatch(batch, places, wanted, int((wanted >= 0).sum()), batch.num_tokens)


def test_pieces_keep_their_questions() -> None:
    batch = masked([[[10, 11], [12]], [[13]]], [1, 5, 9, 0], [20, 21, 22, -100])
    found = pretrain_ours.pieces_of(batch, np.arange(30))
    assert found["seen"].tolist() == [CLS, 10, 11, SEP, CLS, 12, SEP, CLS, 13, SEP]
    assert found["lengths"].tolist() == [4, 3, 3]
    none = [-100] * 10
    asked = {1: 20, 5: 21, 8: 22}
    assert found["labels"].tolist() == [asked.get(at, each) for at, each in enumerate(none)]
    assert found["label_bytes"].tolist() == [asked.get(at, 0) for at in range(10)]


def test_the_gate_gives_each_piece_a_row_and_keeps_its_questions() -> None:
    batch = masked([[[10, 11], [12]], [[13, 14, 15]]], [1, 9], [20, 22])
    pieces = pretrain_ours.pieces_of(batch, np.arange(30))
    lone = pretrain_ours.lone_pieces(pieces, 8, 0)
    assert lone.batch.token_ids_BL.tolist() == [
        [CLS, 13, 14, 15, SEP, 0, 0, 0],
        [CLS, 10, 11, SEP, 0, 0, 0, 0],
        [CLS, 12, SEP, 0, 0, 0, 0, 0],
    ]
    assert lone.batch.sequence_ids_BL[:, 2].tolist() == [1, 2, 3]
    assert lone.batch.positions_BL[0].tolist() == [0, 1, 2, 3, 4, 0, 0, 0]
    assert (lone.positions_M.tolist(), lone.targets_M.tolist()) == ([1, 9], [22, 20])
    assert (lone.num_targets, lone.num_tokens) == (2, batch.num_tokens)


def test_pieces_of_like_length_share_a_batch_and_no_piece_is_lost() -> None:
    lengths = [5, 9000, 3, 700, 4000, 4000]
    pieces = [
        {"seen": np.full(n, n), "labels": np.full(n, -100), "label_bytes": np.zeros(n, np.int64)}
        for n in lengths
    ]
    batches = list(padded_batches(pieces, pad_id=0))
    assert [batch["seen"].shape[1] for batch in batches] == [9000, 4000, 700]
    assert sum((batch["seen"] > 0).sum() for batch in batches) == sum(lengths)
    assert [batch["lengths"].tolist() for batch in batches] == [[9000], [4000, 4000], [700, 5, 3]]


def test_updates_are_timed_without_what_follows_them() -> None:
    times = iter([(1.0, 10.0), (3.0, 13.0), (9.0, 20.0), (12.0, 24.0)])
    clock = pretrain_ours.StepClock(now=lambda: next(times))
    clock.begin()
    clock.update_is_done(TrainingState(num_tokens=40, recent_losses=[3.0]))
    clock.metrics({"validation_loss": 2.0, "validation_bits_per_byte": 1.0}, step=1)
    clock.progress(1, 2, "steps")
    clock.update_is_done(TrainingState(num_tokens=90, recent_losses=[3.0, 2.5]))
    assert (clock.wall_s, clock.cpu_s) == ([2.0, 3.0], [3.0, 4.0])
    assert (clock.num_tokens, clock.losses) == ([40, 50], [3.0, 2.5])
    assert clock.validations[0]["train_wall_s"] == 2.0


def test_our_run_tells_of_every_update(root: Path, tmp_path: Path) -> None:
    clock = pretrain_ours.StepClock()
    run = prepared(root, tmp_path, clock)
    found = pretrain_ours.train(run, clock, 2)
    assert len(clock.wall_s) == len(found["losses"]) == 6
    assert len(found["wall_s"]) == len(found["cpu_s"]) == len(found["num_tokens"]) == 4
    assert [each["step"] for each in found["validations"]] == [2, 4, 6]
    assert found["validations"][-1]["num_tokens"] == sum(clock.num_tokens)
    assert all(0 < num_tokens <= 4 * 64 for num_tokens in clock.num_tokens)
    assert found["validations"][-1]["train_wall_s"] == sum(clock.wall_s)


def test_settings_are_spelled_as_on_the_command_line() -> None:
    given: dict[str, Any] = pretrain_ours.parse_settings(
        ["size=small", "micro_rows=none", "mask_shares=0.8,0.1,0.1"]
    )
    config = PretrainConfig(**given)
    assert (config.size, config.micro_rows, config.mask_shares) == ("small", None, (0.8, 0.1, 0.1))
    for wrong in ("size", "width=3"):
        with pytest.raises(SystemExit, match="no KEY=VALUE"):
            pretrain_ours.parse_settings([wrong])


def test_packing_is_described(root: Path, tmp_path: Path) -> None:
    run = prepared(root, tmp_path, pretrain_ours.StepClock())
    found = pretrain_ours.packing_of(run.tokens)
    assert found["num_dropped_tokens"] == 0
    assert 0.5 < found["text_frac"] < found["fill_frac"] <= 1
    assert found["num_rows"] == run.tokens.packed("train").num_rows
