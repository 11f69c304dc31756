"""Published when better beyond noise, or not worse and better on new documents; else refused."""

from pathlib import Path

import pytest

from model.errors import ArtifactError
from model.retrieval import MeanEstimate
from tasks.release.decision import reasons_against
from tasks.release.margin import DEFAULT_MARGIN
from tasks.release.trial.findings import BOTH, NEW, Measured, Trial

Bounds = tuple[float, float]


def measured(documents: str, bounds: Bounds) -> Measured:
    low, high = bounds
    value = (low + high) / 2
    return Measured(
        documents=documents,
        measure="recall_at_1",
        challenger=MeanEstimate(0.5 + value, 0.4, 0.9, 200),
        released=MeanEstimate(0.5, 0.4, 0.6, 200),
        difference=MeanEstimate(value, low, high, 200),
    )


def trial(both: Bounds | None, new: Bounds | None = None) -> Trial:
    kinds = ((BOTH, both), (NEW, new))
    found = [measured(kind, bounds) for kind, bounds in kinds if bounds is not None]
    return Trial(found, num_both=200, num_new=7, num_learned=3)


@pytest.mark.parametrize(
    "found",
    [
        trial((0.001, 0.2)),
        trial((0.001, 0.2), (-0.5, -0.1)),
        trial((-0.019, 0.03), (0.001, 0.2)),
        trial((-0.019, -0.001), (0.001, 0.2)),  # worse beyond noise, by less than the margin
    ],
)
def test_published(found: Trial) -> None:
    assert reasons_against(found, DEFAULT_MARGIN) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (trial((-0.3, -0.1)), ["worse beyond noise, and it may be worse by more than the margin"]),
        (trial((-0.3, 0.4), (0.1, 0.2)), ["not better beyond noise, and it may be worse"]),
        (trial((-0.02, 0.4), (0.1, 0.2)), ["the margin of 0.02"]),
        (trial((0.0, 0.0)), ["+0.000 [+0.000, +0.000]", "7 are new, too few"]),
        (trial((-0.01, 0.04), (0.0, 0.2)), ["documents that both hold out", "new documents"]),
        (trial(None, (0.1, 0.2)), ["release.publish = always"]),
    ],
)
def test_refused_with_the_numbers(found: Trial, said: list[str]) -> None:
    reasons = reasons_against(found, DEFAULT_MARGIN)
    assert len(reasons) == len(said)
    for reason, part in zip(reasons, said, strict=True):
        assert part in reason


def test_a_wider_margin_lets_more_through() -> None:
    found = trial((-0.08, 0.05), (0.01, 0.2))
    assert reasons_against(found, DEFAULT_MARGIN)
    assert reasons_against(found, 0.1) == []


def test_what_was_measured_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = trial((0.1, 0.2), (0.0, 0.3))
    found.write(tmp_path)
    assert Trial.read(tmp_path) == found
    assert found.of(BOTH, "mrr") is None
    (tmp_path / "trial.json").write_text("{}")
    with pytest.raises(ArtifactError, match="cannot be read"):
        Trial.read(tmp_path)
