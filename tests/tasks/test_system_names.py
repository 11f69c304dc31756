"""Systems have names that people read."""

import pytest

from tasks.system_names import system_label


@pytest.mark.parametrize(
    ("system", "label"),
    [
        ("corpusmith_dim_64", "embedder, 64 dim"),
        ("untrained", "random weights"),
        ("st_mini", "mini"),
        ("layer_12", "layer 12"),
        ("other_1a2b3c4d", "other embedder 1a2b3c4d"),
    ],
)
def test_labels_for_people(system: str, label: str) -> None:
    assert system_label(system) == label
