"""Spikes: losses far above those of the steps before."""

import math
from collections.abc import Sequence

WINDOW_STEPS = 64
NUM_DEVIATIONS = 7.0
LEAST_DEVIATION_FRAC = 0.01


def is_spike(loss: float, window: Sequence[float]) -> bool:
    """Whether `loss` (nats, finite) stands out above the `window` of the losses before it.

    It does if it lies more than seven standard deviations above their mean: the measure of the
    "spike score" in OLMo Team 2025, "2 OLMo 2 Furious", over fewer steps. A deviation counts as
    1 % of the mean at least, so that losses that hardly differ raise no alarm. What to do then,
    going back and past the batches since, is from Chowdhery et al. 2022, "PaLM", section 5.1.

    A loss that rises over many steps widens the window as it goes and is no spike. There is no
    alarm before the window is full, and none for a loss below the mean. A function of its
    arguments alone.
    """
    if len(window) < WINDOW_STEPS:
        return False
    mean = math.fsum(window) / len(window)
    variance = math.fsum((value - mean) ** 2 for value in window) / len(window)
    deviation = max(math.sqrt(variance), LEAST_DEVIATION_FRAC * abs(mean))
    return loss > mean + NUM_DEVIATIONS * deviation


def remember(loss: float, window: list[float]) -> None:
    """Appends `loss` to the `window` and drops what is older than its 64 steps."""
    window.append(loss)
    del window[:-WINDOW_STEPS]
