"""Takes secrets out of what is shown or kept: addresses' passwords, the environment's keys."""

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

HIDDEN = "***"
_SHORTEST = 6  # a shorter value would be found in words that have nothing to do with it

# A user before the @. A password may hold slashes and more of those, unless it looks like a port;
# of an address that was taken for a path one slash is left.
_USER = re.compile(
    r"(:/{1,2})(?:[^\s/@:\"'<>?#]*:(?!\d+(?:/|$))(?:(?!://)[^\s\"'<>?#])*@|[^\s/@\"'<>]+@)"
)
_PASSWORD = re.compile(r"://[^\s/@:]*:(\S*)@")
_PARAMETER = re.compile(r"([?&;])([^\s?&;=\"'<>]+)=([^\s&;\"'<>]+)")
_SECRET_PARAMETER = re.compile(
    r"(?:^|[-_.])(?:sig|token|secret|passw(?:or)?d|pwd|key|credentials?|auth|jwt|sas)$"
    r"|signature|access_?key|api_?key|access_?token|password",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(
    r"secret|passw(?:or)?d|(?:^|_)(?:api_?|access_?)?(?:key|token|credentials?|auth_string)$",
    re.IGNORECASE,
)


def names_secret(parameter: str) -> bool:
    """Whether a parameter in an address is known to hold a signature, a key or a password."""
    return _SECRET_PARAMETER.search(parameter) is not None


def names_user(text: str) -> bool:
    """Whether an address in the text says who asks."""
    return _USER.search(text) is not None


def without_password(text: str) -> str:
    """The text with ``user:password@`` taken out of every address in it, and what its parameters
    with such names say made unreadable."""
    return _PARAMETER.sub(_hide_value, _USER.sub(r"\1", text))


def without_secrets(text: str) -> str:
    """As `without_password`, and without what the environment's secret variables hold.

    For messages: other programs' errors may quote what they were given.
    """
    shown = without_password(text)
    for secret in sorted(set(_environment_secrets()), key=len, reverse=True):
        shown = shown.replace(secret, HIDDEN)
    return shown


def _hide_value(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    return f"{mark}{name}={HIDDEN if names_secret(unquote(name)) else value}"


def _environment_secrets() -> Iterator[str]:
    """Each as it is set, and as addresses spell it."""
    for name, value in os.environ.items():
        found = [match[1] for match in _PASSWORD.finditer(value)]
        if _SECRET_VARIABLE.search(name):
            found += [value, value.partition(":")[2]]  # Prefect's holds user:password
        for secret in found:
            for spelling in (secret, unquote(secret), quote(secret, safe="")):
                if len(spelling) >= _SHORTEST:
                    yield spelling
