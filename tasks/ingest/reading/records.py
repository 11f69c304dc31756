"""What readers find in files: records, and what had to be refused with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PREVIEW_BYTES = 200


class Reason(StrEnum):
    """Why something in a file is no document of the corpus."""

    # Dropped: an orderly omission.
    BEYOND_TRAIN_FRAC = "beyond_train_frac"
    BOILERPLATE = "boilerplate"
    EMPTY = "empty"
    ERASED = "erased"
    REDIRECT = "redirect"
    REPETITIVE = "repetitive"
    TOO_FEW_WORDS = "too_few_words"
    TOO_MANY_DIGITS = "too_many_digits"
    TOO_MANY_SYMBOLS = "too_many_symbols"
    TOO_MANY_WORDS = "too_many_words"
    TOO_SHORT = "too_short"
    TWIN_ERASED = "twin_erased"  # what was kept for it was erased since
    UNSUPPORTED = "unsupported"
    # Quarantined: a defect.
    ARCHIVE_LINK = "archive_link"
    BAD_CSV = "bad_csv"
    BAD_HTML = "bad_html"
    BAD_ID = "bad_id"
    BAD_JSON = "bad_json"
    BAD_PYTHON = "bad_python"
    BAD_XML = "bad_xml"
    COMPRESSION_BOMB = "compression_bomb"
    CORRUPT_ARCHIVE = "corrupt_archive"
    CORRUPT_ARROW = "corrupt_arrow"
    CORRUPT_COMPRESSION = "corrupt_compression"
    CORRUPT_PARQUET = "corrupt_parquet"
    DATA_AFTER_COMPRESSION = "data_after_compression"
    DUPLICATE_ID = "duplicate_id"
    DUPLICATE_KEY = "duplicate_key"
    ENCRYPTED = "encrypted"
    HUGE_INTEGER = "huge_integer"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_ENCODING = "invalid_encoding"
    LONE_SURROGATE = "lone_surrogate"
    NESTED_TOO_DEEP = "nested_too_deep"
    NO_ID = "no_id"
    NO_TEXT = "no_text"
    NOT_AN_OBJECT = "not_an_object"
    NOT_FINITE_NUMBER = "not_finite_number"
    TEXT_NOT_STRING = "text_not_string"
    TOO_DEEP = "too_deep"
    TOO_LONG = "too_long"
    TRUNCATED_COMPRESSION = "truncated_compression"
    UNKNOWN_ENCODING = "unknown_encoding"
    UNREADABLE = "unreadable"
    UNSAFE_PATH = "unsafe_path"
    WRONG_FIELD_COUNT = "wrong_field_count"

    @property
    def is_drop(self) -> bool:
        """Whether this is an orderly omission rather than a defect."""
        return self in _DROPS


_DROPS = frozenset(
    {
        Reason.BEYOND_TRAIN_FRAC,
        Reason.BOILERPLATE,
        Reason.EMPTY,
        Reason.ERASED,
        Reason.REDIRECT,
        Reason.REPETITIVE,
        Reason.TOO_FEW_WORDS,
        Reason.TOO_MANY_DIGITS,
        Reason.TOO_MANY_SYMBOLS,
        Reason.TOO_MANY_WORDS,
        Reason.TOO_SHORT,
        Reason.TWIN_ERASED,
        Reason.UNSUPPORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Record:
    """One candidate for a document.

    Attributes:
        number: its position among the records of its file, from 0.
        byte_offset: where it begins in the (decompressed) file, where that is known.
        columns: values by column name: JSON values, `CsvCell` or Arrow scalars.
        doc_id: its id where the reader knows it better than any column.
        preview: its first bytes, where the file is text.
        text: its text where the format says what that is (pages, articles, plain text); None
            where a column holds it.
        num_bytes: how long it is in the (decompressed) file, where that is known.
    """

    number: int
    byte_offset: int | None
    columns: Mapping[str, Any]
    doc_id: str | None = None
    preview: bytes = b""
    text: str | None = None
    num_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record, or the rest of a file, that is no document.

    Attributes:
        number: as in `Record`; None where the file itself, or its rest, is meant.
        preview: the first bytes of what was refused.
    """

    number: int | None
    reason: Reason
    byte_offset: int | None = None
    preview: bytes = b""
    num_bytes: int | None = None


class FileRefusedError(Exception):
    """Raised by readers where nothing more can be read from a file."""

    def __init__(self, reason: Reason, byte_offset: int | None = None) -> None:
        super().__init__(reason.value)
        self.refusal = Refusal(None, reason, byte_offset)


def document_name(source: str, number: int | None) -> str:
    """The id of a document that has none of its own; a whole file goes by its name."""
    return source if number is None else f"{source}#{number}"
