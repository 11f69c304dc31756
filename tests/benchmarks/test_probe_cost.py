"""The table of the probe's cost adds up what belongs to layers, and tells heads apart."""

from tests.benchmarks.probe_cost import ENCODING, HEADS, PASS, Clock, table


def test_medians_are_of_the_rounds() -> None:
    clock = Clock()
    clock.cpu_s["part"] += [1.0, 9.0, 2.0]
    clock.wall_s["part"] += [4.0, 3.0, 5.0]
    assert clock.medians() == {"part": (2.0, 4.0)}
    assert clock.time("other", lambda: 7) == 7
    assert len(clock.cpu_s["other"]) == len(clock.wall_s["other"]) == 1


def test_the_ratio_is_of_everything_but_heads() -> None:
    medians = {ENCODING: (2.0, 4.0), PASS: (2.1, 4.2), "rank": (0.4, 0.8), HEADS: (3.1, 5.2)}
    found = {line[:44].strip(): line[44:].split() for line in table(medians)[1:]}
    assert found["pass and all measures of layers"] == ["2.500", "5.000", "1.250"]
    assert found[f"{HEADS}, beyond the pass"[:44]] == ["1.000", "1.000", "0.500"]
    assert found["rank"] == ["0.400", "0.800", "0.200"]
