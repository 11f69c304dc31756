"""Tells Prefect that the published pointer has moved, so that automations can act on it."""

import os
from collections.abc import Callable

from flows.harmless import harmless
from flows.servers import is_own_server
from tasks.release.release import Release
from tasks.release.switches import Kind
from tasks.store.workspace import Workspace

EVENT = "corpusmith.release.published"


def announce(
    workspace: Workspace,
    release: Release,
    kind: Kind,
    before: int | None,
    warn: Callable[[str], None],
) -> None:
    """Emit the event; without a Prefect API, or on our own, which ends with us, nobody listens.

    The event names ids and the workspace, and no text. It may get lost: what holds is the pointer.

    Args:
        workspace: whose pointer moved.
        release: what is current now.
        kind: whether a publication or a rollback moved it.
        before: the id of what was current.
        warn: told, in one line, that it could not be sent.
    """
    if not os.environ.get("PREFECT_API_URL") or is_own_server():
        return
    with harmless(f"{EVENT} could not be sent", warn):
        from prefect.events import emit_event

        emit_event(
            EVENT,
            resource={
                "prefect.resource.id": f"corpusmith.workspace.{workspace.location}",
                "prefect.resource.name": workspace.path.name,
            },
            related=[],
            payload=payload(workspace, release, kind, before),
        )


def payload(
    workspace: Workspace, release: Release, kind: Kind, before: int | None
) -> dict[str, str | int | None]:
    """What the event says: JSON values."""
    return {
        "workspace": workspace.location,
        "kind": kind,
        "release": release.id,
        "before": before,
        "embedder": release.embedder.content_id,
        "export": release.export.content_id,
        "export_path": release.export.path,
        "corpus": release.corpus.content_id if release.corpus else None,
    }
