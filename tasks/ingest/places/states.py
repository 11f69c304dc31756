"""What tells one content of a file from the next, without reading it."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_CLOCK_TICK_NS = 2 * 10**9  # the coarsest clock of a local file system
_CLOCK_SKEW_NS = 300 * 10**9  # servers tell the time too, but not ours
_TAGS = ("ETag", "etag", "e_tag")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modified")


class State(NamedTuple):
    """Two of them are equal while the content stays the same.

    Attributes:
        marks: what the file system says of the content.
        settled_ns: before this time (nanoseconds since 1970) the content could change once more
            without its marks doing so: a clock that both changes fall on the same tick of.
    """

    marks: tuple[int | str, ...]
    settled_ns: int


def local_state(status: os.stat_result) -> State:
    """The state of a local file: device, inode, size, and when content and inode changed."""
    times = status.st_mtime_ns, status.st_ctime_ns
    marks = (status.st_dev, status.st_ino, status.st_size, *times)
    return State(marks, max(times) + _CLOCK_TICK_NS)


def tagged_state(info: Mapping[str, Any]) -> State | None:
    """The state of a remote file by its entity tag; None where it has none, or only a weak one."""
    tag = next((info[key] for key in _TAGS if info.get(key)), None)
    if not isinstance(tag, str) or tag.startswith("W/"):
        return None
    return State(("tag", tag.strip('"'), info.get("size") or 0), 0)


def dated_state(info: Mapping[str, Any]) -> State | None:
    """The state of a remote file by size and time of change; None where that is not known."""
    changed = next((info[key] for key in _TIMES if info.get(key)), None)
    changed_ns = _nanoseconds(changed)
    if changed_ns is None:
        return None
    return State(("time", changed_ns, info.get("size") or 0), changed_ns + _CLOCK_SKEW_NS)


def _nanoseconds(time: object) -> int | None:
    if isinstance(time, int | float):
        return int(time * 10**9)
    if isinstance(time, str):
        time = _parsed(time)
    if not isinstance(time, datetime):
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 10**9)


def _parsed(time: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(time)
        except ValueError:
            continue
    return None
