"""Variants are settings of the stage, and the table tells medians of what the runs found."""

from pathlib import Path

import pytest

from tasks.tune.config import TuneConfig
from tests.benchmarks.tune_ablations import VARIANTS, Recalls, find_chain, table


def run(recall: float, hard: float) -> Recalls:
    return {
        "recipe": {"half_document": recall, "hard_half_document": hard, "best_step": 3},
        "seconds": {"of the run": 9.0},
    }


def test_a_row_tells_medians_and_between_which_the_seeds_lie() -> None:
    lines = table({"recipe": [run(0.5, 0.3), run(0.7, 0.1), run(0.6, 0.2)]})
    assert lines[2:] == ["| recipe | 0.600 | 0.500 to 0.700 | 0.200 | 0.100 to 0.300 |"]


def test_every_variant_differs_from_the_defaults() -> None:
    default = TuneConfig()
    for changed in filter(None, VARIANTS.values()):
        assert TuneConfig.model_validate(changed) != default


def test_a_workspace_without_an_embedder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no artifact of tune"):
        find_chain(tmp_path)
