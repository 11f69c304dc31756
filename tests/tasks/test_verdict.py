"""A winner needs an interval without zero, and enough queries behind it."""

import pytest

from model.retrieval import MeanEstimate
from tasks.verdict import Verdict, verdict


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (MeanEstimate(0.25, 0.125, 0.375, 100), Verdict.AHEAD),
        (MeanEstimate(-0.25, -0.375, -0.125, 100), Verdict.BEHIND),
        (MeanEstimate(0.01, -0.02, 0.04, 100), Verdict.TIED),
        (MeanEstimate(0.01, 0.0, 0.04, 100), Verdict.TIED),
        (MeanEstimate(1.0, 1.0, 1.0, 29), Verdict.TOO_FEW),
    ],
)
def test_the_interval_and_the_number_of_queries_decide(
    difference: MeanEstimate, expected: Verdict
) -> None:
    assert verdict(difference) is expected
