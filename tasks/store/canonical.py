"""The one spelling of a JSON value, so that equal values have equal hashes on every machine."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from model.errors import CorpusmithError

ID_DIGITS = 32


def plain_json(value: Any, where: str = "value") -> Any:
    """`value` as JSON reads it back: lists for tuples, only finite numbers and text as keys.

    Raises:
        CorpusmithError: JSON cannot hold a part of it faithfully; the message says which.
    """
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case str():
            return _encodable(value, where)
        case list() | tuple():
            return [plain_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
        case Mapping():
            return {
                _key(key, where): plain_json(item, f"{where}.{key}") for key, item in value.items()
            }
        case _:
            raise CorpusmithError(
                f"{where}: JSON cannot hold {value!r}; use text, finite numbers, lists or mappings"
            )


def canonical_json(value: Any) -> bytes:
    """The one spelling of `value`: sorted keys, no spaces, UTF-8, finite numbers only.

    Raises:
        CorpusmithError: JSON cannot hold a part of it faithfully.
    """
    text = json.dumps(
        plain_json(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode()


def short_hash(value: Any) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:ID_DIGITS]


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise CorpusmithError(f"{where}: the key {key!r} is not text, which JSON demands")
    return _encodable(key, where)


def _encodable(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CorpusmithError(f"{where}: {text!r} is not valid Unicode; rename it") from error
    return text
