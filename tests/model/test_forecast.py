import numpy as np
import pytest

from model.forecast import Forecast, crossing, forecast, lead

SHARES = (0.125, 0.25, 0.5)


def answers(
    shares: tuple[float, ...], at_whole: float, slope: float, num_queries: int, seed: int
) -> list[np.ndarray]:
    """Right or wrong for the same queries at each share; log odds rise by `slope` a doubling."""
    generator = np.random.default_rng(seed)
    ease_Q = generator.logistic(size=num_queries)
    whole = np.log(at_whole / (1 - at_whole))
    return [(ease_Q < whole + slope * np.log2(share)).astype(float) for share in shares]


def foretold(values: dict[str, list[np.ndarray]]) -> dict[str, Forecast]:
    return forecast(SHARES, values, num_resamples=100, seed=0)


def test_a_straight_curve_is_followed_to_its_end() -> None:
    values = {"a": answers(SHARES, 0.8, 0.4, 20_000, 0)}
    found = forecast(SHARES, values, num_resamples=200, seed=0)["a"]
    assert found.at_whole.value == pytest.approx(0.8, abs=0.01)
    assert found.at_whole.low < 0.8 < found.at_whole.high
    assert [each.value for each in found.curve] == pytest.approx(
        [each.mean() for each in values["a"]]
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        values = {"a": answers(SHARES, 0.7, 0.5, 300, seed)}
        found = forecast(SHARES, values, num_resamples=100, seed=seed)["a"].at_whole
        held += found.low <= 0.7 <= found.high
    assert held / 200 >= 0.93


def test_a_curve_that_bends_widens_its_interval() -> None:
    straight = answers(SHARES, 0.7, 0.4, 2000, 0)
    bent = [straight[0] * 0, straight[0], straight[0]]
    found = forecast(SHARES, {"a": straight, "b": bent}, num_resamples=100, seed=0)
    widths = {name: each.at_whole.high - each.at_whole.low for name, each in found.items()}
    assert widths["b"] > 3 * widths["a"]


def test_all_and_none_right_are_no_error() -> None:
    values = {"all": [np.ones(50)] * 3, "none": [np.zeros(50)] * 3}
    found = forecast(SHARES, values, num_resamples=100, seed=0)
    assert found["all"].at_whole.value == pytest.approx(1, abs=0.02)
    assert found["none"].at_whole.value == pytest.approx(0, abs=0.02)


def test_curves_cross_where_their_lines_do() -> None:
    values = {
        "rising": answers(SHARES, 0.8, 0.8, 50_000, 0),
        "level": answers(SHARES, 0.6, 0.0, 50_000, 0),
    }
    found = forecast(SHARES, values, num_resamples=100, seed=0)
    expected = 2 ** ((np.log(0.6 / 0.4) - np.log(0.8 / 0.2)) / 0.8)
    at = crossing(found["rising"], found["level"])
    assert at == pytest.approx(expected, rel=0.05)
    assert found["rising"].at(at) == pytest.approx(found["level"].at(at))
    assert found["rising"].at(2 * at) > found["level"].at(2 * at)
    assert crossing(found["level"], found["level"]) is None


def test_lines_that_hardly_converge_do_not_cross() -> None:
    values = {"a": answers(SHARES, 0.9, 0.4, 20_000, 0), "b": answers(SHARES, 0.2, 0.39, 20_000, 0)}
    found = forecast(SHARES, values, num_resamples=100, seed=0)
    assert crossing(found["a"], found["b"]) is None


def test_a_line_ends_in_what_is_foretold() -> None:
    found = foretold({"a": answers(SHARES, 0.8, 0.4, 2000, 0)})["a"]
    assert found.at(1.0) == pytest.approx(found.at_whole.value)
    assert found.at(0.25) == pytest.approx(found.curve[1].value, abs=0.03)
    assert found.at_whole.low < found.at_whole.value < found.at_whole.high


def test_the_same_queries_tell_apart_what_two_intervals_do_not() -> None:
    better = answers(SHARES, 0.74, 0.3, 400, 0)
    worse = [values * (np.arange(400) % 20 > 0) for values in better]
    found = foretold({"better": better, "worse": worse})
    own, other = found["better"].at_whole, found["worse"].at_whole
    assert own.low < other.high, "the intervals overlap"
    ahead = lead(found["better"], found["worse"])
    assert 0 < ahead.low < ahead.value < ahead.high
    assert ahead.value == pytest.approx(own.value - other.value)
    behind = lead(found["worse"], found["better"])
    assert behind.value == pytest.approx(-ahead.value)
    assert behind.high < 0
    assert ahead.n == 400


def test_a_system_leads_itself_by_nothing() -> None:
    found = foretold({"a": answers(SHARES, 0.8, 0.4, 200, 0)})["a"]
    assert (lead(found, found).value, lead(found, found).excludes_zero) == (0, False)


def test_the_lead_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        found = foretold(
            {"a": answers(SHARES, 0.7, 0.5, 300, seed), "b": answers(SHARES, 0.6, 0.1, 300, seed)}
        )
        ahead = lead(found["a"], found["b"])
        held += ahead.low <= 0.1 <= ahead.high
    assert held / 200 >= 0.93


def test_the_same_seed_foretells_the_same() -> None:
    values = {"a": answers(SHARES, 0.7, 0.4, 100, 0)}
    first, again = foretold(values)["a"], foretold(values)["a"]
    assert (first.at_whole, first.curve) == (again.at_whole, again.curve)


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        ((0.25, 0.5), (5, 5)),
        ((0.5, 0.25, 0.125), (5, 5, 5)),
        ((0.25, 0.5, 1.0), (5, 5, 5)),
        (SHARES, (5, 5, 4)),
        (SHARES, (5, 5)),
        (SHARES, (0, 0, 0)),
    ],
)
def test_what_cannot_be_foretold_is_refused(
    shares: tuple[float, ...], sizes: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError):
        forecast(shares, {"a": [np.ones(size) for size in sizes]}, num_resamples=100, seed=0)
