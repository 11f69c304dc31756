"""Sets an artifact aside that must not be used: moved to quarantine, never deleted, with why."""

import json
import os
import secrets
from pathlib import Path

from tasks.store.atomic import fsync_folder, write_atomic
from tasks.store.workspace import Workspace

REASON_SUFFIX = ".reason.json"


def set_aside(
    workspace: Workspace, folder: Path, seen: os.stat_result, reasons: list[str]
) -> Path | None:
    """Move an artifact's folder to ``quarantine/<stage>/`` and write down why.

    Args:
        workspace: whose artifact it is.
        folder: ``artifacts/<stage>/<input_id>``.
        seen: status of the folder before it was examined.
        reasons: what is wrong, one line each.

    Returns:
        Where it lies now; None where another process was first.
    """
    place = workspace.quarantine / folder.parent.name / f"{folder.name}-{secrets.token_hex(4)}"
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(place)
    except FileNotFoundError:
        return None
    if not os.path.samestat(place.lstat(), seen):  # rebuilt by another process meanwhile: put back
        place.rename(folder)
        return None
    for parent in (place.parent, folder.parent):
        fsync_folder(parent)
    content = json.dumps({"path": str(folder.relative_to(workspace.path)), "reasons": reasons})
    write_atomic(place.with_name(place.name + REASON_SUFFIX), content.encode())
    return place
