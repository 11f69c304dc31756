"""Reads JSON that other people wrote: whatever is wrong with it is an OSError or a ValueError."""

import json
import re
from pathlib import Path
from typing import Any

MAX_BYTES = 256 * 2**20  # a tokenizer of a million tokens has a tenth of that
MAX_DIGITS = 300  # what has more is no number to anybody: arrays raise an OverflowError
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(raw: str | bytes) -> Any:
    """The value that the text spells.

    Raises:
        ValueError: it is no JSON or no UTF-8, or nested deeper than can be read, or holds a whole
            number of more than `MAX_DIGITS`.
    """
    try:
        return json.loads(raw, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def read_json(path: Path) -> Any:
    """The value in a file.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: as `parse_json`, or it is larger than any that is meant to be read, or a text
            in it has half a character.
    """
    text = read_text(path)
    value = parse_json(text)
    if _HALF.search(text):  # two halves in a row are one character, which can be written
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a small file, in UTF-8; a mark of byte order is passed over.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is no UTF-8, or has more bytes than `max_bytes`.
    """
    with path.open("rb") as file:
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise ValueError(f"it has more than {max_bytes:,} bytes")
    return raw.decode("utf-8-sig")
