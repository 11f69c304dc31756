"""A lease that lies in one object, swapped by comparing its tag."""

import json

from model.json_files import parse_json
from tasks.store.lease import Seen, parse_record
from tasks.store.remote.objects import ObjectStore, Stored


class ObjectSeat:
    """A lease in object storage: ``{"fence": 3, "holder": {...}}``; see `tasks.store.lease.Seat`.

    Each takeover and each heartbeat replaces the version that was read, or fails.
    """

    poll_s = 1.0  # a request each

    def __init__(self, objects: ObjectStore, key: str) -> None:
        """Args:
        objects: of the workspace.
        key: of the lease.
        """
        self._objects = objects
        self._key = key

    def newest(self) -> Seen | None:
        """See `Seat.newest`."""
        found = self._objects.read(self._key)
        return _seen(found) if found else None

    def claim(self, before: Seen | None, fence: int, record: bytes) -> Seen | None:
        """See `Seat.claim`."""
        raw = _wrapped(fence, record)
        if before is None:
            tag = self._objects.create(self._key, raw)
        else:
            tag = self._objects.replace(self._key, raw, before.tag)
        return _seen(Stored(raw, tag)) if tag else None

    def rewrite(self, mine: Seen, record: bytes) -> Seen | None:
        """See `Seat.rewrite`."""
        return self.claim(mine, mine.fence, record)

    def forget(self, mine: Seen) -> None:
        """See `Seat.forget`. The object stays, released, some hundred bytes for each request ever.

        A deletion that depends on the tag is new in S3, and servers that do not know the condition
        delete whatever lies there: it could be the lease of who works now.
        """


def _wrapped(fence: int, record: bytes) -> bytes:
    return json.dumps({"fence": fence, "holder": parse_json(record)}).encode()


def _seen(found: Stored) -> Seen:
    try:
        values = parse_json(found.raw)
        fence, holder = int(values["fence"]), json.dumps(values["holder"]).encode()
    except (ValueError, KeyError, TypeError):
        return Seen(0, found.raw, None, found.tag)
    return Seen(fence, found.raw, parse_record(holder), found.tag)
