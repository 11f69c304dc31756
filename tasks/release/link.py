"""The link ``published/embeddings`` to the current export, for whoever reads plain files."""

import secrets
from pathlib import Path

from model.errors import RequestError
from tasks.release.release import Release
from tasks.store.atomic import fsync_folder
from tasks.store.workspace import Workspace

_NAME = "embeddings"


def refuse_blocked_link(workspace: Workspace) -> None:
    """Before anything is published, see that the link can be.

    Raises:
        RequestError: a file or folder of the user's has its name.
    """
    link = workspace.published / _NAME
    if link.exists() and not link.is_symlink():
        raise RequestError(f"{link} is in the way of the link to the embeddings: move it")


def point_link(workspace: Workspace, release: Release) -> None:
    """Let the link name the release's export, relative, so that the workspace can be moved."""
    link = workspace.published / _NAME
    target = Path("..") / release.export.path
    if link.is_symlink() and link.readlink() == target:
        return
    new = workspace.published / f".{_NAME}.{secrets.token_hex(6)}"
    new.symlink_to(target, target_is_directory=True)
    new.replace(link)
    fsync_folder(workspace.published)
