import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.spikes import WINDOW_STEPS, is_spike, remember

LOSSES = st.lists(st.floats(0.0, 20.0), min_size=WINDOW_STEPS, max_size=WINDOW_STEPS)


@given(st.lists(st.floats(0.0, 20.0), max_size=WINDOW_STEPS - 1), st.floats(0.0, 1e6))
def test_no_alarm_before_the_window_is_full(window: list[float], loss: float) -> None:
    assert not is_spike(loss, window)


@given(LOSSES)
def test_what_came_twice_in_the_window_is_no_spike(window: list[float]) -> None:
    assert not is_spike(sorted(window)[-2], window)


@given(LOSSES, st.floats(0.0, 1.0))
def test_what_lies_below_the_mean_is_no_spike(window: list[float], share: float) -> None:
    assert not is_spike(share * math.fsum(window) / len(window), window)


@given(LOSSES, st.floats(0.0, 1e3), st.floats(0.0, 1e3))
def test_a_higher_loss_is_a_spike_all_the_more(
    window: list[float], loss: float, more: float
) -> None:
    assert is_spike(loss + more, window) >= is_spike(loss, window)


@given(LOSSES, st.floats(0.0, 100.0), st.integers(-6, 6))
def test_the_scale_of_losses_does_not_matter(window: list[float], loss: float, power: int) -> None:
    scale = 2.0**power  # exact, so that rounding does not matter either
    tiny = any(0 < value < 1e-100 for value in [*window, loss])
    scaled = [scale * value for value in window]
    assert tiny or is_spike(scale * loss, scaled) == is_spike(loss, window)


@given(LOSSES)
def test_twice_the_largest_and_more_stands_out(window: list[float]) -> None:
    assert is_spike(8.0 * max(window) + 0.1, window)


@pytest.mark.parametrize("deviation", [0.0, 1e-6, 0.02, 0.2])
@pytest.mark.parametrize("fall", [0.0, 3.0])
def test_normal_noise_raises_no_alarm(deviation: float, fall: float) -> None:
    generator = np.random.default_rng(0)
    steps = np.arange(10_000)
    losses = 3.0 + fall * np.exp(-steps / 1000) + deviation * generator.standard_normal(len(steps))
    window: list[float] = []
    for loss in losses.tolist():
        assert not is_spike(loss, window)
        remember(loss, window)


@pytest.mark.parametrize(("loss", "expected"), [(3.2, False), (3.22, True), (9.0, True)])
def test_losses_that_hardly_differ_have_room_of_seven_hundredths(
    loss: float, expected: bool
) -> None:
    assert is_spike(loss, [3.0] * WINDOW_STEPS) == expected


def test_the_window_keeps_the_newest() -> None:
    window: list[float] = []
    for loss in range(100):
        remember(float(loss), window)
    assert window == [float(loss) for loss in range(36, 100)]
