"""Prefect's server for this machine's own programs and pages: ``python -P prefect_server.py PORT``.

Prefect asks nobody on loopback who they are, and looks at no request's Host header. A page on the
web, open in a browser on this machine, could have its own name lead here (DNS rebinding) and then
start deployments; and the rules about other sites' answers keep no page from web sockets.

Origins that the user's own environment allows do not count for this server: they are given for
Prefect's own, which listens elsewhere, and whoever starts this one names its pages.
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "localhost")  # who comes through a tunnel says the latter
ORIGINS_VARIABLE = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


def create_app() -> "ASGIApp":
    """Prefect's application behind `only_own`, with the origins that its environment allows."""
    from prefect.server.api.server import create_app as create_prefect

    return only_own(create_prefect(), frozenset(os.environ[ORIGINS_VARIABLE].split(",")))


def only_own(app: "ASGIApp", origins: frozenset[str]) -> "ASGIApp":
    """The application for requests that mean this machine, and come from no other site's page.

    A wrong Host header is answered with 400, a browser's page that is not of `origins` with 403;
    web sockets are refused in the same way. Programs send no Origin header.
    """
    from starlette.datastructures import Headers
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import PlainTextResponse

    async def own_pages(scope: "Scope", receive: "Receive", send: "Send") -> None:
        is_request = scope["type"] in ("http", "websocket")
        origin = Headers(scope=scope).get("origin") if is_request else None
        if origin is None or origin in origins:
            await app(scope, receive, send)
        else:
            refusal = PlainTextResponse(_advice(scope["server"][1]), status_code=403)
            await refusal(scope, receive, send)

    return TrustedHostMiddleware(own_pages, HOSTS)


def _advice(port: int) -> str:
    return (
        "Pages of this origin are not served: open it under the address that corpusmith printed; "
        f"through a tunnel, keep the port: ssh -L {port}:{LOOPBACK}:{port}\n"
    )


def main(port: int) -> None:
    """Serve on loopback until a signal ends it."""
    import uvicorn

    uvicorn.run(create_app, factory=True, host=LOOPBACK, port=port, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]))
