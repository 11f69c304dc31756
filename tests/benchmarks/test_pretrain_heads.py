"""The table of heads tells medians of what the runs said."""

import pytest

from tests.benchmarks.pretrain_heads import INITIAL, Kind, Report, table


def report(loss: float, seconds: float) -> Report:
    validations = [{"loss": 9.0}, {"loss": loss}]
    return {"validations": validations, "num_tokens": [100, 300], "cpu_s": [seconds, seconds]}


def test_a_row_tells_the_end_of_each_seed() -> None:
    kind = Kind(2, "random", (report(3.0, 1.0), report(5.0, 1.0), report(4.5, 2.0)))
    assert kind.loss == 4.5
    assert kind.spread == pytest.approx(2.0)
    assert kind.tokens_per_cpu_s == pytest.approx(125.0)
    assert table([kind])[2:] == ["| 2 | random | 4.500 | 2.000 | 125 |"]


def test_both_ways_to_begin_are_compared() -> None:
    assert set(INITIAL) == {"neighbours", "random"}
