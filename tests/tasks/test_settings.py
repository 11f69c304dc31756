"""A setting that came later leaves identities alone until it is used."""

from typing import Literal

import pytest

from tasks.settings import StageConfig, added, incidental


class Before(StageConfig):
    steps: int = 3
    workers: int = incidental(1, description="how many at once")


class After(Before):
    layer: Literal["last"] | int = added("last", description="which one")
    rate: float = added(0.5, description="how fast", gt=0)


def test_at_its_default_an_added_setting_is_no_part_of_the_identity() -> None:
    assert After().identity() == Before().identity() == {"steps": 3}
    assert After(layer="last", rate=0.5, workers=4).identity() == Before().identity()


def test_set_to_something_else_it_is() -> None:
    assert After(layer=2).identity() == {"steps": 3, "layer": 2}
    assert After(rate=0.25).identity() == {"steps": 3, "rate": 0.25}


def test_its_constraints_hold() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        After(rate=0)
