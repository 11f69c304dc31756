"""Finds which of Python's codecs a charset's name, or a document's own words, mean."""

import codecs
import re
from contextlib import suppress

_HEAD_BYTES = 4096
_COMMENT = re.compile(rb"<!--.*?(-->|\Z)", re.DOTALL)
_XML = re.compile(rb"""\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([\w.:-]+)["']""", re.ASCII)
_META = re.compile(
    rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([\w.:-]+)""", re.ASCII | re.IGNORECASE
)
# What such names mean in practice, as browsers read them: mostly the wider encoding of Windows.
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "big5": "cp950",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16-le",
    "utf-32": "utf-32-le",
}
_OTHER_NAMES = {
    "dos-874": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "mac-cyrillic": "mac-cyrillic",
    "sjis": "cp932",
    "unicode-1-1-utf-8": "utf-8",
    "unicode": "utf-16-le",
    "windows-949": "cp949",
    "x-big5": "cp950",
}
_NO_CHARSETS = (
    *("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"),
    *("mbcs", "oem", "utf-7"),
)
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def charset_codec(label: str) -> str | None:
    """The codec for a charset's name; None where Python has none for text."""
    label = label.strip().lower()
    for name in (label, label.removeprefix("x-")):
        with suppress(LookupError, ValueError, UnicodeError):
            info = codecs.lookup(_OTHER_NAMES.get(name, name))
            if info._is_text_encoding and info.name not in _NO_CHARSETS:
                return _MEANT.get(info.name, info.name)
    return None


def declared_charset(head: bytes) -> str | None:
    """The codec that a document itself names, in its XML declaration or an HTML <meta>.

    Only the first 4 KiB count. Words that can be read byte by byte are not in UTF-16, whatever
    they say; they are taken to mean UTF-8.
    """
    head = head[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)
    found = _XML.match(head) or _META.search(_COMMENT.sub(b"", head))
    codec = charset_codec(found[1].decode("ascii")) if found else None
    return "utf-8" if codec in WIDE else codec
