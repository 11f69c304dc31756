"""Matches what lies below a folder against a glob, one part of a path at a time."""

import re
from collections.abc import Sequence
from fnmatch import translate

_MARKS = re.compile(r"[*?[]")

Positions = frozenset[int]


def is_glob(text: str) -> bool:
    """Whether a path has wildcards in it."""
    return _MARKS.search(text) is not None


class Glob:
    """The parts of a pattern: ``**`` for any number of folders, else ``*``, ``?`` and ``[abc]``.

    What lies below a match is a match too, so that naming a folder names all its files. A walk
    begins with the positions in `start` and takes a `step` for each folder that it enters.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = [None if part == "**" else re.compile(translate(part)) for part in parts]
        self._end = len(parts)
        self.start = self._with_skipped({0})

    def step(self, positions: Positions, name: str) -> Positions:
        """Where in the pattern a folder or file of this name leads; nowhere if that is empty."""
        if self._end in positions:
            return positions
        reached = set()
        for position in positions:
            part = self._parts[position]
            if part is None:
                reached.add(position)
            elif name and part.match(name):
                reached.add(position + 1)
        return self._with_skipped(reached)

    def is_match(self, positions: Positions) -> bool:
        """Whether the pattern is through."""
        return self._end in positions

    def is_deep(self, positions: Positions) -> bool:
        """Whether files at any depth below may match."""
        return self._end in positions or any(self._parts[at] is None for at in positions)

    def _with_skipped(self, positions: set[int]) -> Positions:
        """Also the positions behind a ``**``, which may stand for no folder at all."""
        reached = set(positions)
        for position in positions:
            while position < self._end and self._parts[position] is None:
                position += 1
                reached.add(position)
        return frozenset(reached)


EVERYTHING = Glob(["**"])
