"""What `plan` expects of a run, held against what the run draws."""

from pathlib import Path

import numpy as np
import pytest

from flows.config import PipelineConfig, validate
from flows.cost import estimate
from model.spans import SpanSampler


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    (tmp_path / "text.txt").write_text("a few words " * 500)
    tune = {"max_steps": 50, "documents_per_batch": 64}
    return validate({"ingest": {"paths": [str(tmp_path)]}, "tune": tune}, where="test")


def test_tuning_is_expected_to_read_the_spans_it_draws(config: PipelineConfig) -> None:
    """In documents that are long enough for any span."""
    tune = config.tune
    sampler = SpanSampler(
        np.full(200, 2000),
        documents_per_batch=tune.documents_per_batch,
        span_min_tokens=tune.span_min_tokens,
        span_max_tokens=tune.span_max_tokens,
        seed=0,
    )
    pairs = [sampler.pairs(step) for step in range(tune.max_steps)]
    drawn = sum(pair.first_lengths_P.sum() + pair.second_lengths_P.sum() for pair in pairs)
    assert estimate(config, {})["tune"].num_tokens == pytest.approx(drawn, rel=0.03)


def test_what_is_longer_or_wider_costs_more(config: PipelineConfig) -> None:
    values = config.model_dump()
    longer = validate({**values, "pretrain": {"max_steps": 1000}}, where="test")
    wider = validate({**values, "pretrain": {"hidden_size": 256}}, where="test")
    base, more_steps, more_width = (
        estimate(each, {})["pretrain"] for each in (config, longer, wider)
    )
    assert more_steps.flops == pytest.approx(2 * base.flops)
    assert more_width.flops > 2 * base.flops
    assert more_width.num_parameters > base.num_parameters


def test_batches_that_grow_read_as_many_rows_as_they_hold(config: PipelineConfig) -> None:
    pretrain = {"max_steps": 100, "rows_per_step": 32, "initial_rows_per_step": 8}
    steady, growing = (
        estimate(validate({**config.model_dump(), "pretrain": each}, where="test"), {})["pretrain"]
        for each in ({**pretrain, "initial_rows_per_step": 32}, {**pretrain, "ramp_frac": 0.5})
    )
    rows = [8 + 24 * min(step / 50, 1) for step in range(100)]
    assert growing.num_tokens / steady.num_tokens == pytest.approx(sum(rows) / 3200, rel=0.01)


def test_a_changing_share_of_masks_costs_its_mean(config: PipelineConfig) -> None:
    shares = ({"mask_frac": 0.2}, {"mask_frac": 0.3, "final_mask_frac": 0.1}, {"mask_frac": 0.3})
    steady, falling, more = (
        estimate(validate({**config.model_dump(), "pretrain": each}, where="test"), {})["pretrain"]
        for each in shares
    )
    assert falling.flops == pytest.approx(steady.flops)
    assert more.flops > steady.flops


def test_a_decoder_of_its_own_is_counted(config: PipelineConfig) -> None:
    tied, free = (
        estimate(
            validate({**config.model_dump(), "pretrain": {"tie_embeddings": tied}}, where="test"),
            {},
        )["pretrain"]
        for tied in (True, False)
    )
    added = config.vocab.vocab_size * config.pretrain.shape.hidden_size
    assert free.num_parameters - tied.num_parameters == added
    assert free.flops == tied.flops


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_every_size_has_a_cost(size: str, config: PipelineConfig) -> None:
    values = {**config.model_dump(), "pretrain": {"size": size}}
    assert estimate(validate(values, where="test"), {})["pretrain"].seconds > 0
