"""Digests of files, remembered while the files stay as they are."""

import functools
import hashlib
import time
from typing import NamedTuple

from tasks.ingest.places.digest_store import Digest, DigestStore
from tasks.ingest.places.location import open_location, state_of
from tasks.ingest.places.remote_access import server_of
from tasks.ingest.places.remote_uris import is_uri, shown
from tasks.ingest.places.source_errors import SourceChangedError
from tasks.ingest.places.states import State

_MAX_TRIES = 3
_PIECE_BYTES = 2**18


class _Known(NamedTuple):
    state: State
    digest: Digest


class DigestMemory:
    """Asking for the same file again costs a look at its state, while that is beyond doubt.

    What was written to so shortly before that a further change might show the same time is hashed
    again. (A change through a memory map shows only when the system writes it back.) Takes some
    500 bytes a file. Threads may share it.

    Args:
        store: where digests of remote files outlast the process.
    """

    def __init__(self, store: DigestStore | None = None) -> None:
        self._known: dict[str, _Known] = {}
        self._store = store

    def digest(self, location: str, state: State | None = None) -> Digest:
        """The sha256 of a file's bytes, in hex, and how many they are.

        Args:
            state: of the file, where it was just listed.

        Raises:
            OSError: it cannot be read.
            SourceChangedError: it is being written to all the while.
            SourceUnreachableError: its server or the way to it fails.
        """
        state = state or state_of(location)
        known = self._known.get(location)
        if known and known.state == state:
            return known.digest
        return self._stored(location, state) or self._hash(location, state)

    def recall(self, location: str, state: State | None = None) -> Digest | None:
        """The digest of a file that is known to be as it was; None where finding out takes long.

        Raises:
            OSError: it is gone, or nothing about it may be known.
        """
        known = self._known.get(location)
        if known is None or (state is None and is_uri(location)):
            return None
        return known.digest if known.state == (state or state_of(location)) else None

    def save(self) -> None:
        """Make what was learned of remote files last."""
        if self._store:
            self._store.save()

    def _hash(self, location: str, state: State | None) -> Digest:
        for _ in range(_MAX_TRIES):
            started_ns = time.time_ns()
            digest = _digest(location)
            after = state_of(location)
            if after == state:
                if state and started_ns > state.settled_ns:
                    self._remember(location, state, digest)
                return digest
            state = after
        raise SourceChangedError(
            f"{shown(location)} is being written to: run again when it is complete"
        )

    def _remember(self, location: str, state: State, digest: Digest) -> None:
        self._known[location] = _Known(state, digest)
        if self._store and _outlasts_process(location):
            self._store.put(server_of(location), location, state, digest)

    def _stored(self, location: str, state: State | None) -> Digest | None:
        if not self._store or not state or not _outlasts_process(location):
            return None
        digest = self._store.get(server_of(location), location, state)
        if digest:
            self._known[location] = _Known(state, digest)
        return digest


@functools.cache
def process_memory() -> DigestMemory:
    """What this process knows."""
    return DigestMemory(DigestStore())


def _digest(location: str) -> Digest:
    hashed, num_bytes = hashlib.sha256(), 0
    with open_location(location) as file:
        while piece := file.read(_PIECE_BYTES):
            hashed.update(piece)
            num_bytes += len(piece)
    return hashed.hexdigest(), num_bytes


def _outlasts_process(location: str) -> bool:
    return is_uri(location) and not location.startswith("memory:")
