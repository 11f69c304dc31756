"""The history of what was current: every switch of the pointer, in order, and what it undid.

A switch is written before the pointer moves, so that no move goes unrecorded. One that was
written and did not happen, because its process died or another was first, is told by what is
current now and by the switches after it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from pydantic import Field

from tasks.release.records import Record, parse, render

Kind = Literal["published", "rolled_back"]


class Switch(Record):
    """One move of the pointer.

    Attributes:
        number: counts up from 1 in each workspace; one that did not happen has one too.
        kind: what moved it.
        release: the id of what became current.
        before: the id of what was current; None at the first publication.
        at: UTC; information only, never compared.
    """

    number: int = Field(ge=1)
    kind: Kind
    release: int = Field(ge=1)
    before: int | None = None
    at: str


def render_switch(switch: Switch) -> bytes:
    """The switch as a JSON file."""
    return render(switch)


def parse_switch(raw: bytes, where: str) -> Switch:
    """The switch in the bytes of a JSON file.

    Raises:
        FormatError: a newer corpusmith wrote it.
        ArtifactError: it is damaged.
    """
    advice = "move it away; it is history only"
    return parse(Switch, raw, where, known_as="the history's format", if_damaged=advice)


def happened(switches: Sequence[Switch], current: int | None) -> list[Switch]:
    """Of all that were written, those that moved the pointer, oldest first.

    From what is current now back: the last switch to it happened, and before that one the last
    switch to what it found, and so on.
    """
    found = []
    release = current
    for switch in sorted(switches, key=lambda each: each.number, reverse=True):
        if switch.release == release:
            found.append(switch)
            release = switch.before
    return found[::-1]


def way_back(history: Sequence[Switch], releases: Collection[int], current: int) -> list[int]:
    """The releases that rollbacks lead to, one after another, the nearest first.

    A publication is undone by going back to what was current before it; what was rolled back from
    is not gone back to.

    Args:
        history: what happened.
        releases: ids of all there were, for workspaces older than their history.
        current: id of the current one.
    """
    first = history[0].before if history else current
    stack = sorted(each for each in releases if first is not None and each <= first)
    for switch in history:
        if switch.kind == "rolled_back" and switch.release in stack:
            last = len(stack) - stack[::-1].index(switch.release)
            stack = stack[:last]
        else:
            stack.append(switch.release)
    back = [each for each in reversed(stack) if each != current]
    return list(dict.fromkeys(back))


def withdrawn(history: Sequence[Switch]) -> dict[int, Switch]:
    """Releases that were rolled back from and not published since, with the switch that did it."""
    gone: dict[int, Switch] = {}
    for switch in history:
        gone.pop(switch.release, None)
        if switch.kind == "rolled_back" and switch.before is not None:
            gone[switch.before] = switch
    return gone


def withdrawn_embedders(
    history: Sequence[Switch], embedders: Mapping[int, str]
) -> dict[str, Switch]:
    """Embedders that were rolled back from and not current since, with the switch that did it.

    Who goes back to another table of the same embedder withdraws a table, and not the embedder.

    Args:
        history: what happened.
        embedders: the embedder of each release that is still known.
    """
    gone: dict[str, Switch] = {}
    for switch in history:
        now = embedders.get(switch.release)
        before = None if switch.before is None else embedders.get(switch.before)
        if now:
            gone.pop(now, None)
        if switch.kind == "rolled_back" and before and before != now:
            gone[before] = switch
    return gone
