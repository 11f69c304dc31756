"""Keeps digests of remote files in the user's cache folder, from one run to the next."""

import hashlib
import json
import os
import re
import threading
from pathlib import Path

from tasks.ingest.places.states import State
from tasks.store.atomic import write_atomic

MAX_DIGESTS = 100_000
_MAX_FILE_BYTES = 2**26
_FILE = Path("corpusmith", "digests-v1.json")
_KEY = re.compile("[0-9a-f]{32}")
_SHA256 = re.compile("[0-9a-f]{64}")

Digest = tuple[str, int]


class DigestStore:
    """Digests by server, URI and state, of which it knows only a hash: no name, no address.

    It is advice. What is damaged or foreign in it is passed over, and where it cannot be written
    nothing is said. Those used last are kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _default_path()
        self._used: dict[str, Digest] = {}  # of this process
        self._found: dict[str, Digest] | None = None  # of processes before it
        self._is_due = False
        self._lock = threading.Lock()

    def get(self, server: str, uri: str, state: State) -> Digest | None:
        """sha256 and size of what lay there in this state, if that is known."""
        key = _key(server, uri, state)
        with self._lock:
            if self._found is None:
                self._found = self._load()
            digest = self._used.get(key) or self._found.get(key)
            if digest:
                self._used[key] = digest
            return digest

    def put(self, server: str, uri: str, state: State, digest: Digest) -> None:
        """Remember a digest; `save` makes it last."""
        with self._lock:
            self._used[_key(server, uri, state)] = digest
            self._is_due = True

    def save(self) -> None:
        """Write what was learned, beside what other processes wrote meanwhile."""
        with self._lock:
            if not self._is_due or self._path is None:
                return
            others = {key: digest for key, digest in self._load().items() if key not in self._used}
            kept = dict([*others.items(), *self._used.items()][-MAX_DIGESTS:])
            content = json.dumps({"version": 1, "digests": kept}, separators=(",", ":"))
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomic(self._path, content.encode(), durable=False)
                self._is_due = False
            except (OSError, ValueError):  # a full disk is our own error, which is a ValueError
                return

    def _load(self) -> dict[str, Digest]:
        try:
            if self._path is None or self._path.stat().st_size > _MAX_FILE_BYTES:
                return {}
            content = json.loads(self._path.read_bytes())
            digests = content["digests"] if content["version"] == 1 else {}
            return {key: (one[0], one[1]) for key, one in digests.items() if _is_digest(key, one)}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}


def _is_digest(key: str, value: object) -> bool:
    match value:
        case [str(sha256), int(num_bytes)]:
            is_count = not isinstance(value[1], bool) and num_bytes >= 0
            return bool(is_count and _KEY.fullmatch(key) and _SHA256.fullmatch(sha256))
    return False


def _key(server: str, uri: str, state: State) -> str:
    content = json.dumps([server, uri, state.marks]).encode()
    return hashlib.sha256(content).hexdigest()[:32]


def _default_path() -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / _FILE
    try:
        return Path.home() / ".cache" / _FILE
    except RuntimeError:  # a user without a home
        return None
