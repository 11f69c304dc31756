"""What `plan` expects of a run, held against what the run draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.config import PipelineConfig, validate
from flows.cost import Cost, estimate
from flows.graph import StageName
from flows.speed import Speed
from flows.tune_cost import mean_pair_tokens
from model.spans import SpanSampler

SPEED = Speed(8e11)


def costs(config: PipelineConfig) -> dict[StageName, Cost]:
    """Of a run that finds nothing done, on a machine of that speed."""
    return estimate(config, {}, SPEED)


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    (tmp_path / "text.txt").write_text("a few words " * 500)
    tune = {"max_steps": 50, "documents_per_batch": 64}
    return validate({"ingest": {"paths": [str(tmp_path)]}, "tune": tune}, where="test")


@pytest.mark.parametrize("length", [2000, 120, 40])
def test_tuning_is_expected_to_read_the_spans_it_draws(config: PipelineConfig, length: int) -> None:
    """In documents that are long enough for any span, and in shorter ones."""
    tune = config.tune
    sampler = SpanSampler(
        np.full(200, length),
        documents_per_batch=tune.documents_per_batch,
        span_min_tokens=tune.span_min_tokens,
        span_max_tokens=tune.span_max_tokens,
        seed=0,
    )
    pairs = [sampler.pairs(step) for step in range(tune.max_steps)]
    drawn = [pair.first_lengths_P.mean() + pair.second_lengths_P.mean() for pair in pairs]
    expected = mean_pair_tokens(tune, [length], window_tokens=1024)
    assert expected == pytest.approx(np.mean(drawn), rel=0.05)


def test_what_is_longer_or_wider_costs_more(config: PipelineConfig) -> None:
    values = config.model_dump()
    longer = validate({**values, "pretrain": {"max_steps": 1000}}, where="test")
    wider = validate({**values, "pretrain": {"hidden_size": 256}}, where="test")
    base, more_steps, more_width = (costs(each)["pretrain"] for each in (config, longer, wider))
    assert more_steps.flops == pytest.approx(2 * base.flops)
    assert base.seconds < more_steps.seconds < 2 * base.seconds  # it also begins, and validates
    assert more_width.flops > 2 * base.flops
    assert more_width.num_parameters > base.num_parameters


def test_batches_that_grow_read_as_many_rows_as_they_hold(config: PipelineConfig) -> None:
    pretrain = {"max_steps": 100, "rows_per_step": 32, "initial_rows_per_step": 8}
    steady, growing = (
        costs(validate({**config.model_dump(), "pretrain": each}, where="test"))["pretrain"]
        for each in ({**pretrain, "initial_rows_per_step": 32}, {**pretrain, "ramp_frac": 0.5})
    )
    rows = [8 + 24 * min(step / 50, 1) for step in range(100)]
    assert growing.num_tokens / steady.num_tokens == pytest.approx(sum(rows) / 3200, rel=0.01)


def test_a_changing_share_of_masks_costs_its_mean(config: PipelineConfig) -> None:
    shares = ({"mask_frac": 0.2}, {"mask_frac": 0.3, "final_mask_frac": 0.1}, {"mask_frac": 0.3})
    steady, falling, more = (
        costs(validate({**config.model_dump(), "pretrain": each}, where="test"))["pretrain"]
        for each in shares
    )
    assert falling.flops == pytest.approx(steady.flops)
    assert more.flops > steady.flops


def test_a_decoder_of_its_own_is_counted(config: PipelineConfig) -> None:
    tied, free = (
        costs(
            validate({**config.model_dump(), "pretrain": {"tie_embeddings": tied}}, where="test")
        )["pretrain"]
        for tied in (True, False)
    )
    added = config.vocab.vocab_size * config.pretrain.shape.hidden_size
    assert free.num_parameters - tied.num_parameters == added
    assert free.flops == tied.flops


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_every_size_has_a_cost(size: str, config: PipelineConfig) -> None:
    values = {**config.model_dump(), "pretrain": {"size": size}}
    assert costs(validate(values, where="test"))["pretrain"].seconds > 0


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("vocab", {"vocab": {"vocab_size": 20000}}),
        ("vocab", {"vocab": {"algorithm": "unigram"}}),
        ("pretrain", {"tokenize": {"row_tokens": 512}}),
        ("pretrain", {"pretrain": {"num_checkpoints": 40}}),
        ("tune", {"tune": {"max_steps": 90}}),
        ("tune", {"tune": {"bag_steps": 300}}),
        ("probe", {"probe": {"num_examples": 3000}}),
        ("probe", {"probe": {"ablation_tokens": 20000}}),
        ("probe", {"probe": {"num_checkpoints": 0}, "pretrain": {"num_layers": 8}}),
        ("probe", {"ingest": {"label_column": "topic"}}),
        ("probe", {"probe": {"conllu": "treebank"}}),
        ("evaluate", {"evaluate": {"doc2vec_epochs": 80}}),
        ("evaluate", {"ingest": {"label_column": "topic"}}),
        ("export", {"pretrain": {"num_layers": 8}}),
    ],
)
def test_a_setting_that_asks_for_more_costs_more(
    config: PipelineConfig, stage: StageName, settings: dict[str, dict[str, Any]]
) -> None:
    values = config.model_dump()
    for section, changed in settings.items():
        values[section] |= changed
    more = costs(validate(values, where="test"))[stage]
    assert more.seconds > costs(config)[stage].seconds


def test_a_faster_machine_trains_faster_and_starts_as_slowly(config: PipelineConfig) -> None:
    slow, fast = (estimate(config, {}, Speed(speed)) for speed in (8e11, 8e13))
    assert fast["pretrain"].seconds < slow["pretrain"].seconds / 2
    assert fast["pretrain"].seconds > 1
    assert fast["ingest"] == slow["ingest"]


def test_gpus_share_the_steps(config: PipelineConfig) -> None:
    values = {**config.model_dump(), "pretrain": {"size": "base", "num_processes": "auto"}}
    one, four = (
        estimate(validate(values, where="test"), {}, Speed(8e11, num_gpus))["pretrain"].seconds
        for num_gpus in (1, 4)
    )
    assert four == pytest.approx(one / 4, rel=0.2)
