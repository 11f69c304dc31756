"""The servers that the environment names: do they answer, let us in, and fit our libraries?"""

import importlib.metadata
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from flows.checks.asking import Reply, ask, is_loopback, sign_in
from flows.checks.check import Check, check
from flows.servers import API_WITH_USER
from tasks.redaction import names_user, without_password


@dataclass(frozen=True)
class Server:
    """A server to be examined.

    Attributes:
        name: as people call it.
        variable: of the environment, that names it.
        address: without a password.
        library: our client's distribution.
        version_url: answers its version.
        closed_url: answers only who may read runs.
        headers: say who we are.
        credentials: the variables that hold who we are.
    """

    name: str
    variable: str
    address: str
    library: str
    version_url: str
    closed_url: str
    headers: dict[str, str]
    credentials: str


def given_servers() -> list[Server]:
    """Those in PREFECT_API_URL and MLFLOW_TRACKING_URI, as far as they speak HTTP."""
    found = []
    if api := os.environ.get("PREFECT_API_URL"):
        found.append(_prefect(api.rstrip("/")))
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith(("http://", "https://")):
        found.append(_mlflow(uri.rstrip("/")))
    return found


def server_checks(servers: list[Server]) -> list[Check]:
    """Each server's, and what stands for those that are not named."""
    checks = [_server_check(server) for server in servers]
    named = {server.name for server in servers}
    if "Prefect" not in named:
        checks.append(check("Prefect", True, "PREFECT_API_URL is not set: runs bring their own"))
    if "MLflow" not in named:
        uri = without_password(os.environ.get("MLFLOW_TRACKING_URI", ""))
        finding = f"a database: {uri}" if uri else "MLFLOW_TRACKING_URI is not set: the workspace's"
        checks.append(check("MLflow", True, finding))
    return checks


def _server_check(server: Server) -> Check:
    """Reachable, then signed in, then of which version: the first thing wrong is told."""
    if names_user(os.environ.get("PREFECT_API_URL", "")) and server.library == "prefect":
        return check(server.name, False, API_WITH_USER)
    place = f"{server.variable}={server.address}"
    reply = ask(server.closed_url, server.headers)
    if reply.status is None or reply.status >= 500:
        why = reply.text if reply.status is None else f"it fails with {reply.status}"
        advice = f"start it, or unset {server.variable}"
        return check(server.name, False, f"{place} does not answer ({why}): {advice}")
    if reply.needs_sign_in:
        who = "did not take who we are" if server.headers else "asks who we are"
        return check(server.name, False, f"{place} {who}: set {server.credentials}")
    if not reply.is_fine:
        why = f"does not know {server.closed_url} ({reply.status})"
        advice = f"give the address of {server.name}"
        return check(server.name, False, f"{place} {why}: {advice}")
    return _version_check(server, place, ask(server.version_url, server.headers))


def _version_check(server: Server, place: str, reply: Reply) -> Check:
    theirs, ours = reply.text.strip('"'), importlib.metadata.version(server.library)
    if not reply.is_fine:
        return check(server.name, "warning", f"{place} answers, but does not tell its version")
    if theirs != ours:
        advice = "install the same on both sides"
        return check(server.name, "warning", f"{place} has {theirs}, we have {ours}: {advice}")
    problem = _exposure(server)
    if problem:
        return check(server.name, "warning", f"{place} {problem}")
    return check(server.name, True, f"{place} answers, version {theirs} as ours")


def _exposure(server: Server) -> str | None:
    """What is open to others on the way there."""
    parts = urlsplit(server.address)
    if is_loopback(parts.hostname):
        return None
    if ask(server.closed_url).is_fine:
        return "lets anybody in who can reach it: let it ask for a password, or keep it on loopback"
    if parts.scheme == "http" and server.headers:
        return "takes our password in clear text: put TLS before it"
    return None


def _prefect(api: str) -> Server:
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    key = os.environ.get("PREFECT_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else sign_in(user, password)
    address = without_password(api)
    return Server(
        name="Prefect",
        variable="PREFECT_API_URL",
        address=address,
        library="prefect",
        version_url=f"{address}/admin/version",
        closed_url=f"{address}/admin/version",
        headers=headers,
        credentials="PREFECT_API_AUTH_STRING",
    )


def _mlflow(uri: str) -> Server:
    parts = urlsplit(uri)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or parts.username
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or parts.password
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = sign_in(user, password) or ({"Authorization": f"Bearer {token}"} if token else {})
    address = without_password(uri)
    return Server(
        name="MLflow",
        variable="MLFLOW_TRACKING_URI",
        address=address,
        library="mlflow",
        version_url=f"{address}/version",
        closed_url=f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0",
        headers=headers,
        credentials="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    )
