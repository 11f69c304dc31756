"""Lets the tracker's alias follow the published pointer where no run is going on."""

from collections.abc import Callable

from flows.harmless import harmless
from model.errors import ArtifactError
from tasks.release.pointer import current, releases
from tasks.release.release import MODEL_NAME, Release
from tasks.store.store import Store
from tasks.store.workspace import Workspace


def follow_pointer(workspace: Workspace, warn: Callable[[str], None]) -> str | None:
    """Point the alias ``champion`` at the current release, registered anew where MLflow lacks it.

    Whatever stopped between the pointer and the alias, this puts the alias right. MLflow is asked
    and waited for; one that is away is a warning, and the next run tries again.

    Args:
        workspace: whose pointer it is.
        warn: told, in one line, what went wrong.

    Returns:
        The version that is the champion now; None before the first release and where MLflow is
        away.
    """
    from tasks.tracking.champion import make_champion

    release = current(workspace)
    if release is None:
        return None
    says = f"the alias champion could not follow release {release.id}"
    version: str | None = None
    try:
        folder = Store(workspace).folder_of(release.embedder)
        metadata = champion_of(workspace, release)
        with harmless(f"{says}, the next run tries again", warn):
            version = make_champion(workspace.state, MODEL_NAME, folder, metadata)
    except ArtifactError as error:
        warn(f"{says}: {error}")
    return version


def champion_of(workspace: Workspace, release: Release) -> dict[str, str]:
    """What tells the version of the registered model that is the release's embedder.

    That of the first release of the embedder: new embeddings by an embedder that is there are no
    version of their own, and an embedder that was refused once is another version.

    Raises:
        ArtifactError: a release is damaged or of a newer format.
    """
    embedder = release.embedder.content_id
    same = [each for each in releases(workspace) if each.embedder.content_id == embedder]
    return min(same, key=lambda each: each.id, default=release).registered_as
