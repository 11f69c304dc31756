"""Settings as the tracker takes them: flat, cut to its limits, without secrets."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tasks.redaction import names_secret, without_password

MAX_PARAM_CHARACTERS = 6000  # MLflow's limits
MAX_TAG_CHARACTERS = 8000
MAX_KEY_CHARACTERS = 250

_NOT_IN_NAMES = re.compile(r"[^/\w.\- :]")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``pretrain.seed`` -> ``"0"``; keys that name a secret are hidden."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        name = key if prefix and key.startswith(prefix) else prefix + key
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            shown = "(hidden)" if names_secret(name.rsplit(".", 1)[-1]) else as_text(value)
            flat[valid_name(name)] = cut(shown, MAX_PARAM_CHARACTERS)
    return flat


def as_text(value: Any) -> str:
    """A value as one reads it: text as it is, all else as JSON; addresses lose their passwords."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return without_password(text)


def cut(text: str, max_characters: int) -> str:
    """The text, its end replaced by a visible mark where it is too long."""
    if len(text) <= max_characters:
        return text
    mark = f" ... [cut, {len(text)} characters]"
    return text[: max_characters - len(mark)] + mark


def valid_name(name: str) -> str:
    """The name with what MLflow refuses in names replaced by underscores."""
    return _NOT_IN_NAMES.sub("_", name)[:MAX_KEY_CHARACTERS]
