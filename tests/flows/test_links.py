"""A page that cannot be made ends nothing, and a password on the way there is told to nobody."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from flows.harmless import harmless
from flows.links import Links


def test_what_goes_wrong_is_one_line_without_a_password() -> None:
    told: list[str] = []
    with harmless("vocab: its summary could not be shown in Prefect", told.append):
        raise OSError("http://ops:hunter2@prefect/api is away\nand more")
    assert told == [
        "vocab: its summary could not be shown in Prefect: OSError: http://prefect/api is away"
    ]


def test_a_link_that_fails_is_made_later_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    made: list[str] = []
    is_away = True

    class Link:
        def __init__(self, *, key: str, **_: Any) -> None:
            self.key = key

        def create(self) -> None:
            if is_away:
                raise OSError("away")
            made.append(self.key)

    monkeypatch.setattr("flows.links.LinkArtifact", Link)
    tracker: Any = SimpleNamespace(page=lambda _: "http://mlflow/run")
    links = Links(tracker, told.append)
    for key in ("first", "second"):
        links.add(key, str(uuid4()))
    links.make_known()
    links.make_known()
    is_away = False
    links.make_known()
    links.make_known()
    assert sorted(made) == ["first", "second"]
    assert len(told) <= 2
    assert told[0] == "first could not be shown in Prefect: OSError: away"
