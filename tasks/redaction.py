"""Takes secrets out of what is shown or kept: addresses' passwords, the environment's keys."""

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

HIDDEN = "***"
_SHORTEST = 6  # a shorter value would be found in words that have nothing to do with it
_LONG = 12  # a shorter value may be a word by itself

# A host is no user, whatever comes after its port.
_NO_HOST = (
    r"(?![^\s/@:\"'<>?#]*:\d{1,5}(?:[/?#;:)]|$)"
    r"|\[[^\]\s@]*\](?:(?::\d{1,5})?(?:[/?#;)]|$)|:\d{1,5}:))"
)
# A user before the @. A password may hold slashes and more of those, or question marks and no
# slash; of an address that was taken for a path one slash is left.
_USER = re.compile(
    rf"(:/{{1,2}}){_NO_HOST}"
    r"(?:[^\s/@:\"'<>?#]*:(?:((?:(?!://)[^\s\"'<>?#])*)|([^\s/@\"'<>]*))@|[^\s/@:\"'<>?#]+@)"
)
_PARAMETER = re.compile(r"([?&;])([^\s?&;=\"'<>]+)=([^\s&;\"'<>]+)")
_SECRET_NAME = re.compile(
    r"(?:^|[-_.])(?:sig|token|pwd|key|auth|jwt|sas)$|secret(?!ar)|passw|credential|signature"
    r"|(?:api|access|private)_?key|(?:access|auth)_?token|auth_?string|basic_?auth",
    re.IGNORECASE,
)
# Variables that say where a secret lies, or which one is meant.
_BESIDE_SECRET = re.compile(r"_(?:file|path|dir|name|key_id)$", re.IGNORECASE)
# Only what these hold is a secret for certain, however short: USE_SECRETS=enabled is none.
_SURE_SECRET = re.compile(
    r"passw|(?:^|_)token$|(?:api|access)_?key$|auth_?string$|basic_?auth$", re.IGNORECASE
)
_USER_AND_PASSWORD = re.compile(r"auth_?string$|basic_?auth$", re.IGNORECASE)


def names_secret(name: str) -> bool:
    """Whether what an address's parameter, a setting or a variable of that name says is known to
    be a signature, a key or a password."""
    return _SECRET_NAME.search(name) is not None


def names_user(text: str) -> bool:
    """Whether an address in the text says who asks."""
    return _USER.search(text) is not None


def without_user(text: str) -> str:
    """The text with ``user:password@`` taken out of every address in it; their parameters stay."""
    return _USER.sub(r"\1", text)


def without_password(text: str) -> str:
    """The text with ``user:password@`` taken out of every address in it, and what its parameters
    with such names say made unreadable."""
    return _PARAMETER.sub(_hide_value, without_user(text))


def without_secrets(text: str) -> str:
    """As `without_password`, and without what the environment's secret variables hold.

    For messages: other programs' errors may quote what they were given.
    """
    secrets = sorted(set(_environment_secrets()), key=len, reverse=True)
    shown = without_password(text)
    return re.sub("|".join(map(_found_as, secrets)), HIDDEN, shown) if secrets else shown


def _found_as(secret: str) -> str:
    pattern = re.escape(secret)
    return pattern if len(secret) >= _LONG else rf"(?<!\w){pattern}(?!\w)"


def _hide_value(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    return f"{mark}{name}={HIDDEN if names_secret(unquote(name)) else value}"


def _environment_secrets() -> Iterator[str]:
    """Each as it is set, and as addresses spell it."""
    for name, value in os.environ.items():
        for secret in [*_passwords(value), *_values(name, value)]:
            for spelling in (secret, unquote(secret), quote(secret, safe="")):
                if len(spelling) >= _SHORTEST:
                    yield spelling


def _passwords(value: str) -> Iterator[str]:
    """Those of the addresses in a variable, whatever its name."""
    for mark, password, other in _USER.findall(value):
        if mark == "://":  # else it is a list of folders
            yield password or other


def _values(name: str, value: str) -> Iterator[str]:
    """What a variable keeps secret by its name."""
    is_sure = _SURE_SECRET.search(name) is not None
    if _BESIDE_SECRET.search(name) or not (is_sure or names_secret(name)):
        return
    if is_sure or len(value) >= _LONG:
        yield value
    if _USER_AND_PASSWORD.search(name):
        yield value.partition(":")[2]
