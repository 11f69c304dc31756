"""Tells binary content from text by its first bytes."""

import codecs
import re
from collections import Counter

from tasks.ingest.containers.decompress import is_compressed

# Beginnings that no text has.
_BINARY = re.compile(
    rb"""
    \x89PNG | \xff\xd8\xff | II\*\x00 | MM\x00\* | \x00\x00[\x01\x02]\x00 | 8BPS\x00     # images
    | ID3[\x02-\x04] | \#!AMR\n | MThd\x00 | \x00\x00..ftyp | \x1a\x45\xdf\xa3 | FLV\x01 # media
    | \x00\x00\x01[\xb3\xba] | \x00\x01\x00\x00 | OTTO\x00                               # and fonts
    | \xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 | %PDF-\d | %!PS-Adobe | \{\\rtf\d            # documents
    | PK(?:\x03\x04|\x05\x06|\x07\x08) | Rar!\x1a\x07 | 7z\xbc\xaf\x27\x1c             # archives
    | \x1f[\x9d\xa0] | \x04\x22\x4d\x18 | !<arch>\n | \xed\xab\xee\xdb
    | \x7fELF | \xca\xfe\xba\xbe | \xfe\xed\xfa[\xce\xcf] | [\xce\xcf]\xfa\xed\xfe     # programs
    | \x00asm | BC\xc0\xde
    | SQLite\ format\ 3\x00 | \x93NUMPY | \x89HDF | Obj\x01 | \x80[\x02-\x05]            # data
    """,
    re.DOTALL | re.VERBOSE,
)
# Beginnings that a text may have as well; a control character must speak against it.
_PERHAPS_BINARY = re.compile(
    rb"""
    GIF8[79]a | BM | RIFF | FORM | OggS | fLaC | \xff[\xe2\xe3\xf2\xf3\xfa\xfb] | wOF[F2]
    | MZ | ORC | FEA1 | .{36}acsp | .{257}ustar
    """,
    re.DOTALL | re.VERBOSE,
)
# Control characters, less those of layout, terminals and encodings that shift.
_CONTROLS = bytes({*range(32), 127} - set(b"\b\t\n\v\f\r\x0e\x0f\x1a\x1b"))
_MAX_CONTROL_FRAC = 1 / 50
_MARKS = {  # the longer ones first
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def is_known_binary(head: bytes) -> bool:
    """Whether a file that begins so is of a well-known kind that holds no plain text."""
    if is_compressed(head) or _BINARY.match(head):
        return True
    return has_controls(head) and _PERHAPS_BINARY.match(head) is not None


def has_controls(data: bytes) -> bool:
    """Whether there is any control character that texts do without, such as NUL."""
    return _num_controls(data) > 0


def decode_head(head: bytes) -> str | None:
    """The beginning of a text in whatever encoding, good enough to be looked at; None where it
    is full of control characters, and so no text.
    """
    encoding = _wide_encoding(head)
    text = head.decode(encoding or "utf-8-sig", "replace")
    data = text.encode("utf-8", "replace") if encoding else head
    return None if _num_controls(data) > _MAX_CONTROL_FRAC * len(data) else text


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, known by its mark or by the places of its NULs."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return None
    zeros = [head[place::4].count(0) for place in range(4)]
    quarter = len(head) // 4
    if min(zeros[2], zeros[3]) >= quarter > 0:
        return "utf-32-le"
    if min(zeros[0], zeros[1]) >= quarter > 0:
        return "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if 20 * min(even, odd) > max(even, odd) or not _is_of_few_values(head[odd > even :: 2]):
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    return encoding if _is_decodable(head, encoding) else None


def _is_of_few_values(high_bytes: bytes) -> bool:
    """Whether these can be the upper halves of characters: an alphabet's are nearly all alike."""
    most = sum(number for _, number in Counter(high_bytes).most_common(3))
    return most >= 0.9 * len(high_bytes) and 10 * high_bytes.count(0) >= len(high_bytes)


def _is_decodable(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _num_controls(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CONTROLS))
