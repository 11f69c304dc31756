"""Decodes bytes in the encoding that they are surely in, and refuses to guess."""

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.ingest.encodings.charsets import WIDE, charset_codec, declared_charset
from tasks.ingest.encodings.detection import detect_encoding, take_sample
from tasks.ingest.reading.records import Reason

__all__ = ["Decoded", "declared_charset", "decode_document", "stream_encoding", "to_utf8"]

_BOMS = (  # the longer before those that they begin with
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HEAD_BYTES = 2**16
_PIECE_BYTES = 2**20
_ESCAPED = ("iso2022_jp", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_kr")
_WIDER = {"cp950": "big5hkscs", "euc_jp": "euc_jis_2004"}
_LONG_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_ASCII = bytes(range(128))
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f"))
_MAX_CHARACTERS_CHECKED = 2**14
_BAD_MARK = "\udcff"  # in UTF-8, by "surrogateescape": the byte 0xFF


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a document.

    Attributes:
        text: without a byte order mark.
        encoding: the name of Python's codec.
    """

    text: str
    encoding: str


def decode_document(data: bytes, declared: str | None, min_confidence: float) -> Decoded | Reason:
    """The text of a whole document, or why it cannot be told.

    In this order: a byte order mark; UTF-16 or UTF-32 of evident pattern; ISO-2022's escapes;
    UTF-8; the declared charset; the encoding detected.

    Args:
        declared: a charset's name, as from `declared_charset`; unknown ones do not count.
        min_confidence: of a detected encoding, from 0 to 1.

    Returns:
        INVALID_UTF8: UTF-8, or ASCII, but for some bytes; or cut within its last character.
        INVALID_ENCODING: not in the encoding that its byte order mark or `declared` says.
        UNKNOWN_ENCODING: anything else, and what has NUL bytes.
    """
    if marked := _marked_encoding(data):
        reason = Reason.INVALID_UTF8 if marked == "utf-8" else Reason.INVALID_ENCODING
        return _decode_first(data, [marked]) or reason
    decoded = _decode_first(data, [*_wide_encodings(data), *_escaped_encodings(data)])
    if decoded and "\0" not in decoded.text:
        return decoded
    codec = charset_codec(declared) if declared else None
    if b"\0" in data:
        return _decode_declared(data, codec) if codec in WIDE else Reason.UNKNOWN_ENCODING
    if decoded := _decode_first(data, ["utf-8"]):
        return decoded
    if _is_nearly_utf8(data):
        return Reason.INVALID_UTF8
    if codec:
        return _decode_declared(data, codec)
    found = detect_encoding(data)
    encodings = found.encodings if found.confidence >= min_confidence else []
    return _decode_first(data, encodings) or _doubt(data)


def stream_encoding(
    head: bytes, is_all: bool, declared: str | None, min_confidence: float
) -> str | Reason:
    """The codec of a long stream of records, from its first 64 KiB or so.

    "utf-8" where it is ASCII or UTF-8 but for some bytes, for records are refused one by one.

    Args:
        is_all: whether `head` is the whole content; else its last character may be cut.
        declared: a charset's name; unknown ones do not count.
        min_confidence: of a detected encoding, from 0 to 1.

    Returns:
        INVALID_ENCODING: it is not in the declared charset.
        UNKNOWN_ENCODING: no encoding is sure enough, or it is no text.
    """
    if marked := _marked_encoding(head):
        return marked
    if sure := [*_wide_encodings(head), *_escaped_encodings(head)]:
        return sure[0]
    codec = charset_codec(declared) if declared else None
    if head.count(0) * 1000 > len(head):
        is_wide = codec is not None and codec in WIDE and _fits(head, codec, is_all)
        return codec if codec and is_wide else Reason.UNKNOWN_ENCODING
    if codec and codec not in WIDE and head.isascii():
        return codec
    if _fits(head, "utf-8", is_all) or _is_nearly_utf8(head):
        return "utf-8"
    if codec:
        return _first_fitting(head, _widened(codec), is_all) or Reason.INVALID_ENCODING
    found = detect_encoding(head, is_all)
    encodings = found.encodings if found.confidence >= min_confidence else []
    if fitting := _first_fitting(head, encodings, is_all):
        return fitting
    return "utf-8" if _doubt(head) is Reason.INVALID_UTF8 else Reason.UNKNOWN_ENCODING


def to_utf8(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """A stream in UTF-8 without its byte order mark.

    What does not decode becomes the byte 0xFF, so that the record around it is refused as invalid
    UTF-8. A stream of UTF-8 passes as it is, in the pieces it comes in.

    Args:
        encoding: a codec's name, as from `stream_encoding`.
    """
    if encoding == "utf-8":
        return _without_first(pieces, codecs.BOM_UTF8)
    return _without_first(_recoded(pieces, encoding), codecs.BOM_UTF8)


def _recoded(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    codecs.register_error("corpusmith-mark", _mark_bad)
    decoder = codecs.getincrementaldecoder(encoding)("corpusmith-mark")
    for piece in pieces:
        for start in range(0, len(piece), _PIECE_BYTES):
            text = decoder.decode(piece[start : start + _PIECE_BYTES])
            yield text.encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def _mark_bad(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _BAD_MARK, error.end


def _without_first(pieces: Iterable[bytes], mark: bytes) -> Iterator[bytes]:
    """The stream without `mark` at its beginning, and without empty pieces."""
    beginning: bytes | None = b""
    for piece in pieces:
        if beginning is None:
            if piece:
                yield piece
            continue
        beginning += piece
        if len(beginning) >= len(mark):
            if rest := beginning.removeprefix(mark):
                yield rest
            beginning = None
    if beginning:
        yield beginning


def _decode_first(data: bytes, encodings: Iterable[str]) -> Decoded | None:
    """The text in the first encoding that all bytes fit."""
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        return Decoded(text.removeprefix("\ufeff"), codecs.lookup(encoding).name)
    return None


def _decode_declared(data: bytes, codec: str) -> Decoded | Reason:
    return _decode_first(data, _widened(codec)) or Reason.INVALID_ENCODING


def _widened(codec: str) -> list[str]:
    return [codec, _WIDER[codec]] if codec in _WIDER else [codec]


def _first_fitting(head: bytes, encodings: Iterable[str], is_all: bool) -> str | None:
    fitting = (encoding for encoding in encodings if _fits(head, encoding, is_all))
    found = next(fitting, None)
    return codecs.lookup(found).name if found else None


def _fits(head: bytes, encoding: str, is_all: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(head, is_all)
    except UnicodeError:
        return False
    return True


def _marked_encoding(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None)


def _wide_encodings(data: bytes) -> list[str]:
    """UTF-16 and UTF-32 without a mark, where the places of NUL bytes leave no doubt."""
    if b"\0" not in data[:_HEAD_BYTES]:
        return []
    head = data[: len(data[:_HEAD_BYTES]) // 4 * 4]
    if _has_stray_nuls(head):
        return []
    return [encoding for encoding in WIDE if _is_evident(head, encoding)]


def _has_stray_nuls(head: bytes) -> bool:
    """Whether this is UTF-8 with a few NUL bytes: in UTF-16 there are more, or other controls."""
    rest = head.replace(b"\0", b"")
    try:
        rest.decode("utf-8")
    except UnicodeDecodeError:
        return False
    num_controls = len(rest) - len(rest.translate(None, _CONTROLS))
    return num_controls == 0 and 4 * (len(head) - len(rest)) < len(head)


def _is_evident(head: bytes, encoding: str) -> bool:
    width = 4 if encoding.startswith("utf-32") else 2
    low, high = (0, width - 1) if encoding.endswith("le") else (width - 1, 0)
    num_characters = len(head) // width
    num_small = head[high::width].count(0)
    if 10 * num_small < num_characters or 4 * head[low::width].count(0) > num_small:
        return False
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return num_characters >= 4 and _is_text(text[:_MAX_CHARACTERS_CHECKED])


def _is_text(text: str) -> bool:
    """Whether a tenth at least is ASCII, and nothing a control, private or unassigned."""
    marks = set(text) - set("\t\n\r\f\ufeff")
    if any(unicodedata.category(mark) in ("Cc", "Cn", "Co", "Cs") for mark in marks):
        return False
    num_ascii = len(text.encode("ascii", "ignore"))
    return 10 * num_ascii >= len(text)


def _escaped_encodings(data: bytes) -> list[str]:
    """ISO-2022, which is made of ASCII, where its escapes make it read as more than ASCII."""
    if b"\x1b" not in data or not data.isascii():
        return []
    return [encoding for encoding in _ESCAPED if _is_escaped(data, encoding)]


def _is_escaped(data: bytes, encoding: str) -> bool:
    try:
        return not codecs.getincrementaldecoder(encoding)().decode(data).isascii()
    except UnicodeDecodeError:
        return False


def _is_nearly_utf8(data: bytes) -> bool:
    """Whether far more bytes beyond ASCII are parts of UTF-8's sequences than not.

    By chance few are: encodings of one or two bytes a character have most of their bytes alone.
    """
    sample = take_sample(data)
    rest, num_sequences = _LONG_SEQUENCE.subn(b"", sample)
    num_bad = len(rest.translate(None, _ASCII))
    return num_sequences >= 2 and num_bad <= max(num_sequences // 4, min(num_sequences, 3))


def _doubt(data: bytes) -> Reason:
    """Why bytes are refused that are neither UTF-8 nor in an encoding that is sure."""
    num_high = len(data.translate(None, _ASCII))
    is_nearly_ascii = num_high <= max(2, len(data) // 100)
    return Reason.INVALID_UTF8 if is_nearly_ascii else Reason.UNKNOWN_ENCODING
