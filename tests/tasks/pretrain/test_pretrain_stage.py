import json
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForMaskedLM, AutoTokenizer

from model.batch import batch_from_sequences
from model.errors import ArtifactError, CorpusError, RequestError, TrainingError
from model.huggingface import load_masked_lm
from model.optimizers import Optimizers
from model.packing import plan_packing
from model.training import TrainingInterrupted
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.initial import sources
from tasks.pretrain.stage import PRETRAIN
from tasks.runtime import stopping
from tasks.stage import Metrics
from tasks.tokens import write_plan
from tests.model.encoders import IDS
from tests.tasks.chain import Listener
from tests.tasks.pretrain.runs import QUICK, digests, pretrain, upstream

NAMES = {
    "config.json",
    "curves.parquet",
    "guesses.html",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
}
STATE = "state.json"
TIMES = {
    "tokens_per_second",
    "input_s",
    "forward_s",
    "backward_s",
    "optimizer_s",
    "input_stall_frac",
    "checkpoint_s",
}
CHECKPOINT_NAMES = {
    "checksums.json",
    "config.json",
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upstream")


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def output(root: Path, listener: Listener) -> Path:
    """The result of one unbroken run."""
    folder = root / "output"
    pretrain(root, folder, listener)
    return folder


def test_the_folder_holds_the_result_and_nothing_else(output: Path) -> None:
    assert {path.name for path in output.iterdir()} == NAMES | {"checkpoints"}
    checkpoints = sorted((output / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == [f"step-{step:08d}" for step in (6, 12, 18, 24)]
    for checkpoint in checkpoints:
        assert {path.name for path in checkpoint.iterdir()} == CHECKPOINT_NAMES


@torch.no_grad()
def test_transformers_reads_text_to_the_same_logits(output: Path, root: Path) -> None:
    """Also text that looks like a special token, which is data."""
    model, info = AutoModelForMaskedLM.from_pretrained(output, output_loading_info=True)
    assert not any(info.values())
    ours = load_masked_lm(output)
    learned = Tokenizer.from_file(str(root / "vocab" / "tokenizer.json"))
    tokenizer = AutoTokenizer.from_pretrained(output)
    for text in ("plain words", "a [MASK] and [SEP] in the text", "ümlaut 漢字"):
        framed = tokenizer(text, return_tensors="pt")
        token_ids = learned.encode(text).ids
        assert framed["input_ids"][0].tolist() == [2, *token_ids, 3]
        batch = batch_from_sequences([np.array(token_ids)], row_tokens=None, **IDS)
        logits_BLV = ours.logits(ours.model(batch))
        torch.testing.assert_close(model(**framed).logits, logits_BLV, atol=1e-4, rtol=0)
    assert tokenizer.model_max_length == 64


def test_every_checkpoint_loads_and_the_last_is_the_result(output: Path) -> None:
    last = output / "checkpoints" / "step-00000024"
    assert (last / "model.safetensors").read_bytes() == (output / "model.safetensors").read_bytes()
    for checkpoint in (output / "checkpoints").iterdir():
        _, info = AutoModelForMaskedLM.from_pretrained(checkpoint, output_loading_info=True)
        assert not any(info.values())


def test_metrics_and_curves_tell_the_course(output: Path, listener: Listener) -> None:
    table = pq.read_table(output / "curves.parquet").to_pandas()
    assert list(table.columns) == ["step", "metric", "value"]
    assert set(table.metric) == {
        "train_loss",
        "learning_rate",
        "grad_norm",
        "validation_loss",
        "validation_bits_per_byte",
        "masked_accuracy",
    }
    losses = table[table.metric == "validation_loss"].value.tolist()
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    reported = {name for _, values in listener.measured for name in values}
    assert reported == set(table.metric) | TIMES
    assert listener.seen[-1] == (24, 24, "steps")
    summary = json.loads((output / "training.json").read_text())
    assert summary["reproducible"] is True
    assert summary["metrics"]["validation_loss"] == losses[-1]


def test_a_second_run_gives_the_same_bytes(output: Path, root: Path, tmp_path: Path) -> None:
    pretrain(root, tmp_path / "again", Listener())
    assert digests(tmp_path / "again") == digests(output)


def test_another_seed_gives_other_weights(output: Path, root: Path, tmp_path: Path) -> None:
    pretrain(root, tmp_path / "other", Listener(), seed=1)
    name = "model.safetensors"
    assert digests(tmp_path / "other")[name] != digests(output)[name]


def test_it_learns_more_than_how_often_tokens_are(tmp_path: Path) -> None:
    """Every letter is as frequent as the others, and each follows from its neighbours."""
    texts = [(ascii_lowercase * 4)[start % 26 :][: 30 + start] for start in range(40)]
    splits = ["train", "train", "train", "validation"] * 9 + ["test"] * 4
    upstream(
        tmp_path,
        [
            {"id": str(number), "text": text, "split": split}
            for number, (text, split) in enumerate(zip(texts, splits, strict=True))
        ],
    )
    metrics = pretrain(tmp_path, tmp_path / "out", Listener(), max_steps=200, rows_per_step=8)
    assert metrics["unigram_loss"] > 3
    assert metrics["validation_loss"] < 0.5 * metrics["unigram_loss"]
    assert metrics["masked_accuracy"] > 0.6


def test_stopped_twice_it_ends_as_if_it_had_not_been(
    output: Path, root: Path, tmp_path: Path, termination_is_noted: list[int]
) -> None:
    class Stopper(Listener):
        def progress(self, done: int, total: int, unit: str) -> None:
            if done in (9, 20):
                os.kill(os.getpid(), signal.SIGTERM)

    for number, steps in enumerate(([6, 9, 10], [6, 9, 10, 12, 18, 20, 21]), start=1):
        with pytest.raises(TrainingInterrupted, match="the same command goes on"):
            pretrain(root, tmp_path / "stopped", Stopper())
        assert len(termination_is_noted) == number
        found = sorted(path.name for path in (tmp_path / "stopped" / "checkpoints").iterdir())
        assert set(found) <= {f"step-{step:08d}" for step in steps}
    listener = Listener()
    metrics = pretrain(root, tmp_path / "stopped", listener)
    assert metrics["resumed_from_step"] in (20, 21)
    assert f"goes on after step {metrics['resumed_from_step']:.0f}" in listener.messages[0]
    assert digests(tmp_path / "stopped") == digests(output)


class ImpatientlyStopped(Listener):
    """Sends SIGTERM where the next thing is an update or, at the end, a validation."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        super().metrics(values, step=step)
        if step == self.step == 24 and "train_loss" in values:
            os.kill(os.getpid(), signal.SIGTERM)

    def progress(self, done: int, total: int, unit: str) -> None:
        if done == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("step", [5, 12, 24])
def test_what_takes_too_long_is_given_up_and_comes_again(
    step: int,
    output: Path,
    root: Path,
    tmp_path: Path,
    termination_is_noted: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_S", -1.0)
    stopped = ImpatientlyStopped(step)
    with pytest.raises(TrainingInterrupted, match=f"after step {step} of 24"):
        pretrain(root, tmp_path / "stopped", stopped)
    assert termination_is_noted
    listener = Listener()
    metrics = pretrain(root, tmp_path / "stopped", listener)
    assert metrics["resumed_from_step"] == step
    assert digests(tmp_path / "stopped") == digests(output)


def test_damaged_checkpoints_are_left_behind(output: Path, root: Path, tmp_path: Path) -> None:
    def copy(step: int) -> Path:
        target = tmp_path / "out" / "checkpoints" / f"step-{step:08d}"
        target.mkdir(parents=True)
        for path in (output / "checkpoints" / target.name).iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        return target

    copy(6)
    weights = copy(18) / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(bytes(damaged))
    (copy(12) / "state.json").unlink()
    (tmp_path / "out" / "leftover").mkdir()
    (tmp_path / "out" / "stale.txt").write_text("from an earlier attempt")
    listener = Listener()
    pretrain(root, tmp_path / "out", listener)
    assert "after step 6" in listener.messages[0]
    assert len(listener.warnings) == 2
    assert digests(tmp_path / "out") == digests(output)


def test_checkpoints_of_other_settings_are_refused(root: Path, tmp_path: Path) -> None:
    pretrain(root, tmp_path / "out", Listener(), max_steps=4)
    with pytest.raises(ArtifactError, match=r"pretrain\.mask_frac = 0\.3, but this run has 0\.2"):
        pretrain(root, tmp_path / "out", Listener(), max_steps=4, mask_frac=0.2)


def test_a_finished_attempt_is_only_finished(output: Path, root: Path, tmp_path: Path) -> None:
    """Killed between the last checkpoint and the commit, nothing is trained again."""
    pretrain(root, tmp_path / "out", Listener())
    (tmp_path / "out" / "model.safetensors").unlink()
    metrics: Metrics = pretrain(root, tmp_path / "out", Listener())
    assert "tokens_per_second" not in metrics
    assert digests(tmp_path / "out") == digests(output)


def test_by_time_there_are_four_checkpoints_and_a_remark(root: Path, tmp_path: Path) -> None:
    pretrain(root, tmp_path / "out", Listener(), max_steps=10**6, max_minutes=1e-4)
    assert len(list((tmp_path / "out" / "checkpoints").iterdir())) == 4
    summary = json.loads((tmp_path / "out" / "training.json").read_text())
    assert summary["reproducible"] is False
    assert summary["num_steps"] < 1000


def test_training_goes_on_from_a_given_encoder(output: Path, root: Path, tmp_path: Path) -> None:
    first = Listener()
    pretrain(root, tmp_path / "out", first, init_from=output, max_steps=4, learning_rate=1e-6)
    started_at = first.measured[0][1]["validation_loss"]
    reached = json.loads((output / "training.json").read_text())["metrics"]["validation_loss"]
    assert started_at == pytest.approx(reached, rel=0.02)
    assert sources(PretrainConfig(init_from=output)) != sources(
        PretrainConfig(init_from=output / "checkpoints" / "step-00000006")
    )
    assert sources(PretrainConfig()) is None


def test_an_encoder_that_does_not_fit_is_refused(output: Path, root: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="has num_layers = 2, but this run asks for 3"):
        pretrain(root, tmp_path / "a", Listener(), init_from=output, num_layers=3)
    with pytest.raises(RequestError, match=r"model\.safetensors is missing"):
        sources(PretrainConfig(init_from=tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    for name in NAMES - {"tokenizer.json"}:
        (other / name).write_bytes((output / name).read_bytes())
    with pytest.raises(RequestError, match=r"has no tokenizer\.json"):
        pretrain(root, tmp_path / "b", Listener(), init_from=other)
    tokenizer = json.loads((output / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["another"] = vocabulary.pop("a")
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(RequestError, match="trained with another vocabulary"):
        pretrain(root, tmp_path / "c", Listener(), init_from=other)


def test_a_diverging_run_keeps_its_checkpoints(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan_at_call(monkeypatch, 8)
    with pytest.raises(TrainingError, match="norm is nan in step 8"):
        pretrain(root, tmp_path / "out", Listener())
    found = [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()]
    assert found == ["step-00000006"]


def nan_at_call(monkeypatch: pytest.MonkeyPatch, *calls: int) -> None:
    """Makes the gradient's norm not a number in these updates, counted with repeated ones."""
    clip, norms = Optimizers.clip, []

    def clip_until_it_diverges(optimizers: Optimizers) -> torch.Tensor:
        norms.append(clip(optimizers))
        return norms[-1] * (torch.nan if len(norms) in calls else 1.0)

    monkeypatch.setattr(Optimizers, "clip", clip_until_it_diverges)


def test_the_batch_that_ended_a_run_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan_at_call(monkeypatch, 8)
    with pytest.raises(TrainingError, match=r"the documents 't\d+', .* more: see .*failed-batch"):
        pretrain(root, tmp_path / "out", Listener())
    named = json.loads((tmp_path / "out" / "failed-batch.json").read_text())
    assert named["step"] == 8
    assert len(named["rows"]) == 4
    assert all(row["epoch"] == 0 and row["documents"] for row in named["rows"])
    monkeypatch.undo()
    pretrain(root, tmp_path / "out", Listener())
    assert not (tmp_path / "out" / "failed-batch.json").exists()


@pytest.mark.parametrize("call", [3, 9])
def test_after_going_back_it_learns_from_other_rows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """To the beginning where there is no checkpoint yet; the state there is the first one."""
    nan_at_call(monkeypatch, call)
    listener = Listener()
    pretrain(root, tmp_path / "out", listener, max_rollbacks=1)
    assert {"rollbacks": 1.0} in [values for _, values in listener.measured]
    state = json.loads((tmp_path / "out" / "checkpoints" / "step-00000024" / STATE).read_text())
    before = 6 if call > 6 else 0
    assert state["state"]["num_skipped_rows"] == 4 * (call - before)
    assert len(list((tmp_path / "out" / "checkpoints").iterdir())) == 4


def test_checkpoints_by_the_clock_are_no_part_of_the_result(
    output: Path, root: Path, tmp_path: Path
) -> None:
    found: list[int] = []

    class Counter(Listener):
        def progress(self, done: int, total: int, unit: str) -> None:
            found.append(len(list((tmp_path / "out" / "checkpoints").glob("step-*"))))

    pretrain(root, tmp_path / "out", Counter(), checkpoint_minutes=1e-9)
    assert found[:8] == [1, 2, 2, 2, 2, 3, 3, 3]
    assert digests(tmp_path / "out") == digests(output)


def test_an_empty_split_is_said_before_training(tmp_path: Path) -> None:
    upstream(tmp_path)
    nothing = plan_packing(np.zeros(0, dtype=np.int64), row_tokens=64)
    write_plan(nothing, tmp_path / "tokenize" / "packing" / "validation.arrow")
    with pytest.raises(CorpusError, match="the validation split holds no tokens"):
        pretrain(tmp_path, tmp_path / "out", Listener())


def test_off_the_main_thread_it_runs_too(output: Path, root: Path, tmp_path: Path) -> None:
    worker = threading.Thread(target=pretrain, args=(root, tmp_path / "out", Listener()))
    worker.start()
    worker.join()
    assert digests(tmp_path / "out") == digests(output)


def test_the_stage_is_what_the_chain_expects() -> None:
    assert (PRETRAIN.name, PRETRAIN.upstream) == ("pretrain", ("vocab", "tokenize"))
    assert QUICK["max_steps"] == 24


def test_compiling_on_a_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="compile = on: layers are compiled for CUDA devices"):
        pretrain(tmp_path, tmp_path / "out", Listener(), compile="on", device="cpu")
