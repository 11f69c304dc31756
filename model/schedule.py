"""The learning rate over a run: it rises, stays and falls to zero (warm-up, stable, decay).

Hu et al. 2024, "MiniCPM: Unveiling the potential of small language models with scalable training
strategies", section 4; the fall is linear.
"""


def rate_factor(progress: float, *, warmup_frac: float, decay_frac: float) -> float:
    """Share of the peak rate at `progress`, which runs from 0 to 1; a function of nothing else.

    Args:
        progress: part of the run that is done in the middle of the update, so neither the first
            nor the last update has a rate of zero.
        warmup_frac: part of the run in which the rate rises linearly from zero.
        decay_frac: part at the end in which it falls linearly to zero.
    """
    rising = progress / warmup_frac if warmup_frac > 0 else 1.0
    falling = (1.0 - progress) / decay_frac if decay_frac > 0 else 1.0
    return max(0.0, min(1.0, rising, falling))
