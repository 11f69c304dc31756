"""The history tells what happened, whatever was written and did not happen."""

import pytest

from model.errors import ArtifactError
from tasks.release.switches import (
    Kind,
    Switch,
    happened,
    parse_switch,
    render_switch,
    way_back,
    withdrawn,
    withdrawn_embedders,
)
from tasks.store.errors import FormatError

Move = tuple[int | None, int]


def switches(*moves: Move, rollbacks: tuple[int, ...] = ()) -> list[Switch]:
    """Numbered from 1; those at the places in `rollbacks` are rollbacks."""
    return [
        Switch(number=number, kind=kind_of(number, rollbacks), release=to, before=before, at="now")
        for number, (before, to) in enumerate(moves, start=1)
    ]


def kind_of(number: int, rollbacks: tuple[int, ...]) -> Kind:
    return "rolled_back" if number in rollbacks else "published"


@pytest.mark.parametrize(
    ("written", "current", "real"),
    [
        ([(None, 1), (1, 2)], 2, [1, 2]),
        ([(None, 1), (1, 2)], 1, [1]),  # died before the pointer moved
        ([(None, 1), (1, 2), (1, 2)], 2, [1, 3]),  # and was done again
        ([(None, 1), (1, 2), (1, 3), (2, 3)], 3, [1, 2, 4]),  # lost a race and tried again
        ([(None, 1), (1, 2), (1, 3), (2, 1)], 1, [1, 2, 4]),  # lost a race and gave up
        ([(None, 1), (1, 2), (2, 1), (1, 2), (2, 1)], 1, [1, 2, 3, 4, 5]),
        ([(3, 4)], 4, [1]),  # a workspace older than its history
        ([], 3, []),
        ([(None, 1)], None, []),
    ],
)
def test_what_did_not_happen_is_told_by_what_came_after(
    written: list[Move], current: int | None, real: list[int]
) -> None:
    assert [each.number for each in happened(switches(*written), current)] == real


@pytest.mark.parametrize(
    ("moves", "rollbacks", "current", "back"),
    [
        ([(None, 1), (1, 2), (2, 3)], (), 3, [2, 1]),
        ([(None, 1), (1, 2), (2, 3), (3, 2)], (4,), 2, [1]),
        ([(None, 1), (1, 2), (2, 3), (3, 1)], (4,), 1, []),
        ([(None, 1), (1, 2), (2, 1), (1, 3)], (3,), 3, [1]),
        ([(None, 1), (1, 2), (2, 1)], (), 1, [2]),  # published again
        ([(None, 1), (1, 2), (2, 1), (1, 2)], (3, 4), 2, [1]),
        ([], (), 3, [2, 1]),  # of before there was a history
        ([(2, 3)], (), 3, [2, 1]),
    ],
)
def test_a_rollback_goes_where_publications_came_from(
    moves: list[Move], rollbacks: tuple[int, ...], current: int, back: list[int]
) -> None:
    assert way_back(switches(*moves, rollbacks=rollbacks), [1, 2, 3], current) == back


def test_what_was_rolled_back_from_is_withdrawn_until_it_is_published() -> None:
    moves: list[Move] = [(None, 1), (1, 2), (2, 1), (1, 2)]
    assert set(withdrawn(switches(*moves[:3], rollbacks=(3,)))) == {2}
    assert withdrawn(switches(*moves, rollbacks=(3,))) == {}
    assert withdrawn(switches(*moves[:2])) == {}


@pytest.mark.parametrize(
    ("moves", "rollbacks", "gone"),
    [
        ([(None, 1), (1, 2), (2, 3)], (), {}),
        ([(None, 1), (1, 2), (2, 3), (3, 2)], (4,), {}),  # another table of the same embedder
        ([(None, 1), (1, 2), (2, 3), (3, 2), (2, 1)], (4, 5), {"b": 2}),
        ([(None, 1), (1, 2), (2, 3), (3, 1)], (4,), {"b": 3}),
        ([(None, 1), (1, 2), (2, 3), (3, 1), (1, 2)], (4, 5), {"a": 1}),  # brought back by another
        ([(None, 1), (1, 2), (2, 1), (1, 3)], (3,), {}),  # published again
        ([(None, 1), (1, 2), (2, 1), (1, 9)], (3,), {"b": 2}),  # by one that is not known
    ],
)
def test_an_embedder_is_withdrawn_by_going_back_to_another(
    moves: list[Move], rollbacks: tuple[int, ...], gone: dict[str, int]
) -> None:
    embedders = {1: "a", 2: "b", 3: "b"}
    found = withdrawn_embedders(switches(*moves, rollbacks=rollbacks), embedders)
    assert {embedder: switch.before for embedder, switch in found.items()} == gone


def test_a_switch_is_read_as_it_was_written_and_damage_is_named() -> None:
    [switch] = switches((None, 1))
    assert parse_switch(render_switch(switch), "here") == switch
    for raw in (b"{", b"[]", b'{"format_version": 1}'):
        with pytest.raises(ArtifactError, match="here is damaged"):
            parse_switch(raw, "here")
    with pytest.raises(FormatError, match="version 2"):
        parse_switch(b'{"format_version": 2}', "here")
