"""Names the members of archives so that the names are harmless and unique."""

import hashlib
import re
from array import array

_MAX_NAME_CHARS = 4096
_CLIPPED_CHARS = 200
_UNSAFE = re.compile(
    r"""\A[/\\]                         # begins at a root
    | \A[A-Za-z]:                       # or on a drive
    | \0
    | (?:\A|[/\\])\.\.(?:[/\\]|\Z)     # goes up
    | \A(?:\.?[/\\])*\.?\Z             # is no name
    """,
    re.VERBOSE,
)
_HIDDEN = re.compile(r"(?:\A|[/\\])\.(?!\Z|[/\\])|\A(?:\.?[/\\])*__MACOSX(?:\Z|[/\\])")
_HARMFUL = re.compile(  # control characters, and those that turn lines around or end them
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def decode_name(name: bytes, fallback: str | None = None) -> str:
    """A name as text: UTF-8 where it can be, else `fallback`; other bytes as lone surrogates."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        if fallback is None:
            return name.decode("utf-8", "surrogateescape")
        return name.decode(fallback, "surrogateescape")


def is_unsafe(name: str) -> bool:
    """Whether a name leads, on any system, out of the folder it is unpacked in, or is no name."""
    return len(name) > _MAX_NAME_CHARS or _UNSAFE.search(name) is not None


def is_hidden(name: str) -> bool:
    """Whether part of a safe name is hidden, or the member is a companion file of macOS."""
    return _HIDDEN.search(name) is not None


def spell(name: str) -> str:
    """A name for tables and terminals: what would do harm there, or is no text, is spelled out."""
    if name.isascii() and name.isprintable() and len(name) <= _MAX_NAME_CHARS:
        return name
    if len(name) > _MAX_NAME_CHARS:
        name = name[:_CLIPPED_CHARS] + "..."
    name = _HARMFUL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), name)
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def simplify(name: str) -> str:
    """A safe name without the parts that mean nothing: ``./a//b`` is ``a/b``."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


class UniqueNames:
    """Numbers names that come again: ``a``, ``a~2``, ``a~3``.

    Remembers 8 bytes of each, so that millions take no more memory than they must: at most 48 MiB.
    """

    MAX_NAMES = 3_000_000

    def __init__(self) -> None:
        self._num_names = 0
        self._slots = array("Q", bytes(8 * 2**10))

    @property
    def is_full(self) -> bool:
        return self._num_names >= self.MAX_NAMES

    def claim(self, name: str) -> str:
        """The name, with a number where it was given out already."""
        if not self._is_used(name):
            return self._remember(name)
        used, free = 1, 2
        while self._is_used(f"{name}~{free}"):
            used, free = free, 2 * free
        while free - used > 1:  # whatever else was used, the one before the free one was
            middle = (used + free) // 2
            if self._is_used(f"{name}~{middle}"):
                used = middle
            else:
                free = middle
        return self._remember(f"{name}~{free}")

    def _is_used(self, name: str) -> bool:
        return self._slots[self._slot(_digest(name))] != 0

    def _remember(self, name: str) -> str:
        digest = _digest(name)
        self._slots[self._slot(digest)] = digest
        self._num_names += 1
        if 4 * self._num_names > 3 * len(self._slots):
            self._grow()
        return name

    def _slot(self, digest: int) -> int:
        """Where a digest lies, or else the empty place for it."""
        slots, last = self._slots, len(self._slots) - 1
        slot = digest & last
        while slots[slot] not in (0, digest):
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(2 * 8 * len(old)))
        for digest in filter(None, old):
            self._slots[self._slot(digest)] = digest


def _digest(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
