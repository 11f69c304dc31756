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
