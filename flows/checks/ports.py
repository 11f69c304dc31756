"""Servers of ours on this machine that others can reach, and that ask nobody who they are."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from flows import prefect_server
from flows.checks.asking import ask, is_loopback
from flows.checks.check import Check, check

# A part of the command line, and a path that answers only who is let in.
KINDS = {
    "Prefect": (
        ("prefect.server.api.server", "prefect server start", prefect_server.__file__),
        "/api/admin/version",
    ),
    "MLflow": (
        ("mlflow server", "mlflow.server", "mlflow ui"),
        "/api/2.0/mlflow/experiments/get?experiment_id=0",
    ),
}
ANYWHERE = frozenset({"0.0.0.0", "::"})  # what is looked for, not listened on


@dataclass(frozen=True)
class Listener:
    """A server that listens: its kind, and where."""

    kind: str
    host: str
    port: int


def port_check() -> Check:
    """A warning where one of our servers listens on more than loopback and lets anybody in."""
    found = sorted(set(listeners()), key=lambda each: each.port)
    exposed = [each for each in found if not is_loopback(each.host) and _is_open(each)]
    if exposed:
        places = ", ".join(f"{each.kind} on {each.host}:{each.port}" for each in exposed)
        advice = "start it with --host 127.0.0.1, or let it ask for a password"
        return check("ports", "warning", f"{places} lets anybody in who can reach it: {advice}")
    if not found:
        return check("ports", True, "no server of ours that we can see listens on this machine")
    places = ", ".join(f"{each.kind} on {each.host}:{each.port}" for each in found)
    return check("ports", True, f"{places}: on loopback, or behind a password")


def listeners() -> Iterator[Listener]:
    """The Prefect and MLflow servers among the processes of this user (root sees all)."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # some systems show nobody else's
        connections = psutil.Process().net_connections(kind="tcp")
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or connection.pid is None:
            continue
        kind = _kind(connection.pid)
        if kind:
            yield Listener(kind, connection.laddr.ip, connection.laddr.port)


def _kind(pid: int) -> str | None:
    with contextlib.suppress(psutil.Error):
        command = " ".join(psutil.Process(pid).cmdline())
        for kind, (marks, _) in KINDS.items():
            if any(mark in command for mark in marks):
                return kind
    return None


def _is_open(listener: Listener) -> bool:
    host = "127.0.0.1" if listener.host in ANYWHERE else listener.host
    shown = f"[{host}]" if ":" in host else host
    return ask(f"http://{shown}:{listener.port}{KINDS[listener.kind][1]}").is_fine
