"""Settings under which no night could ever be judged are refused."""

import numpy as np
import pytest

from model.drift import thresholds
from tasks.drift.config import DriftConfig


@pytest.mark.parametrize(("per_month", "too_few", "enough"), [(0.1, 200, 300), (0.01, 2000, 3000)])
def test_as_many_draws_as_the_rate_needs(per_month: float, too_few: int, enough: int) -> None:
    with pytest.raises(ValueError, match=f"{too_few} is too few to tell .* {enough} are enough"):
        DriftConfig(false_alarms_per_month=per_month, num_resamples=too_few)
    config = DriftConfig(false_alarms_per_month=per_month, num_resamples=enough)
    sizes_BK = np.random.default_rng(0).random((enough, 2))
    assert np.isfinite(thresholds(sizes_BK, config.false_alarm_frac)).all()
    assert np.isinf(thresholds(sizes_BK[:too_few], config.false_alarm_frac)).all()
