"""Tells Prefect that the published pointer has moved, or was kept from it, for automations.

The events name ids, numbers and the workspace, and no text. One may get lost: what holds is the
pointer, and the record of the run.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from flows.harmless import harmless
from flows.servers import is_own_server
from tasks.release.release import Release
from tasks.release.switches import Kind
from tasks.store.workspace import Workspace

PUBLISHED, REFUSED = "corpusmith.release.published", "corpusmith.release.refused"


def announce(
    workspace: Workspace,
    release: Release,
    kind: Kind,
    before: int | None,
    warn: Callable[[str], None],
) -> None:
    """Emit that it has moved.

    Args:
        workspace: whose pointer moved.
        release: what is current now.
        kind: whether a publication or a rollback moved it.
        before: the id of what was current.
        warn: told, in one line, that it could not be sent.
    """
    _emit(PUBLISHED, workspace, _switched(release, kind, before), warn)


def announce_refusal(
    workspace: Workspace,
    release: Release,
    refused: Mapping[str, Any],
    warn: Callable[[str], None],
) -> None:
    """Emit that what a run made was not published.

    Args:
        workspace: whose pointer stays.
        release: what stays current.
        refused: what the record of the run says of it.
        warn: told, in one line, that it could not be sent.
    """
    told = {
        "release": release.id,
        "reasons": list(refused["reasons"]),
        "embedder": refused["embedder"]["content_id"],
        "export": refused["export"]["content_id"],
    }
    _emit(REFUSED, workspace, told, warn)


def _emit(
    event: str, workspace: Workspace, told: dict[str, Any], warn: Callable[[str], None]
) -> None:
    """Without a Prefect API, or on our own, which ends with us, nobody listens."""
    if not os.environ.get("PREFECT_API_URL") or is_own_server():
        return
    with harmless(f"{event} could not be sent", warn):
        from prefect.events import emit_event

        emit_event(
            event,
            resource={
                "prefect.resource.id": f"corpusmith.workspace.{workspace.location}",
                "prefect.resource.name": workspace.path.name,
            },
            related=[],
            payload={"workspace": workspace.location, **told},
        )


def _switched(release: Release, kind: Kind, before: int | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "release": release.id,
        "before": before,
        "embedder": release.embedder.content_id,
        "export": release.export.content_id,
        "export_path": release.export.path,
        "corpus": release.corpus.content_id if release.corpus else None,
    }
