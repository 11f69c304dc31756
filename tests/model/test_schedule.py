import pytest

from model.schedule import rate_factor

PHASES = {"warmup_frac": 0.1, "decay_frac": 0.4}


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.35, 1.0), (0.6, 1.0), (0.8, 0.5), (1.0, 0.0)],
)
def test_it_rises_stays_and_falls(progress: float, factor: float) -> None:
    assert rate_factor(progress, **PHASES) == pytest.approx(factor)


def test_phases_can_be_left_out() -> None:
    assert rate_factor(0.001, warmup_frac=0, decay_frac=0) == 1
    assert rate_factor(0.999, warmup_frac=0, decay_frac=0) == 1


def test_past_the_end_it_stays_at_zero() -> None:
    assert rate_factor(1.2, **PHASES) == 0
