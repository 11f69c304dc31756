"""Content that means harm, and valid content with something wrong in it, for the readers."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from model.errors import CorpusmithError

# What people put into ids, labels and names of files to reach a shell, a page or a spreadsheet.
HOSTILE_TEXTS = (
    "../../escaped",
    "/etc/passwd",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2",
    '"><img src=x onerror=alert(1)>',
    "<script>alert(1)</script>",
    "]]></style></svg><script>alert(1)</script>",
    "javascript:alert(1)",
    "[click](javascript:alert(1))",
    "a|b|c",
    "`rm -rf`",
    "two\nlines",
    "carriage\rreturn",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "right\u202eleft",
    "{{ 7 * 7 }}",
    "$\\frac{1}",
    "%s%n%x",
)
_PIECES = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b"{", b"}", b"\t", b"#"),
    *(b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"\\ud800", b"-1", b"9" * 5000),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"x" * 70_000, b"\xf4\x90\x80\x80"),
)
_WILD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, -1e-308),
    *(float("nan"), float("inf"), "", "a", "\ud800", "\0", "../../x", "x" * 5000),
    *([], {}, [[]], {"a": {}}, [None] * 100),
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with one to three places cut off, flipped, left out, repeated or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["cut", "flip", "drop", "repeat", "insert"])):
            case "cut":
                del data[at:]
            case "flip":
                if data:
                    data[at] ^= 1 << draw(st.integers(0, 7))
            case "drop":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length]
            case _:
                data[at:at] = draw(st.sampled_from(_PIECES))
    return bytes(data)


@st.composite
def wild(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON document with one or two of its values replaced by what nobody expects there."""
    values = copy.deepcopy(json.loads(content))
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(values))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        holder[key] = copy.deepcopy(draw(st.sampled_from(_WILD)))  # the next round may change it
    return json.dumps(values).encode()


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a document as what holds it and its key there; of long lists the beginning."""
    if isinstance(values, dict | list):
        keys = list(values) if isinstance(values, dict) else range(min(len(values), 20))
        for key in keys:
            yield values, key
            yield from _places(values[key])


def reads_or_refuses(read: Callable[[], object]) -> str | None:
    """Read; what goes wrong must be one of our errors. Returns its message."""
    try:
        read()
    except CorpusmithError as error:
        return str(error)
    return None
