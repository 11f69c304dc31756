"""Asks servers what anybody may ask, and says what came back."""

import base64
import email.utils
import http.client
import ipaddress
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tasks.redaction import without_secrets, without_user

TIMEOUT_S = 5.0
NEEDS_SIGN_IN = frozenset({401, 403})


@dataclass(frozen=True)
class Reply:
    """What a server said.

    Attributes:
        status: of HTTP; None where nothing came back.
        text: the first of it, or why nothing came.
        clock_ahead_s: its clock less ours, in seconds; None where it does not tell the time.
            Servers tell it in whole seconds, so up to 1 s of it means nothing.
    """

    status: int | None
    text: str
    clock_ahead_s: float | None = None

    @property
    def is_fine(self) -> bool:
        """Whether it did what was asked."""
        return self.status is not None and self.status < 300

    @property
    def needs_sign_in(self) -> bool:
        """Whether it wants to know who asks."""
        return self.status in NEEDS_SIGN_IN


def ask(url: str, headers: Mapping[str, str] | None = None) -> Reply:
    """What the address answers to a GET. Never raises; an address's own password is not sent."""
    began_s = time.time()
    try:
        request = urllib.request.Request(without_user(url), headers=dict(headers or {}))
        with _opener(url).open(request, timeout=TIMEOUT_S) as answer:
            text = answer.read(1000).decode("utf-8", "replace").strip()
            return Reply(answer.status, text, _ahead(answer.headers.get("Date"), began_s))
    except urllib.error.HTTPError as error:
        return Reply(error.code, str(error.reason), _ahead(error.headers.get("Date"), began_s))
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Reply(None, without_secrets(str(reason)))


def sign_in(user: str | None, password: str | None) -> dict[str, str]:
    """The header that says who asks; none where nobody is named."""
    if not user:
        return {}
    pair = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can be meant."""
    if host in (None, "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Through the proxy that the environment names, except for loopback."""
    if is_loopback(urlsplit(url).hostname) or os.environ.get("NO_PROXY") == "*":
        return urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener()


def _ahead(date: str | None, began_s: float) -> float | None:
    if not date:
        return None
    parts = email.utils.parsedate_tz(date)
    if parts is None:
        return None
    ours = (began_s + time.time()) / 2
    return email.utils.mktime_tz(parts) - ours
