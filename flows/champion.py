"""Lets the tracker's alias follow the published pointer where no run is going on."""

from collections.abc import Callable

from model.errors import ArtifactError
from tasks.release.pointer import current
from tasks.release.release import MODEL_NAME
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tracking.location import without_password

MAX_CAUSE_CHARACTERS = 200


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
    try:
        folder = Store(workspace).folder_of(release.embedder)
        return make_champion(workspace.state, MODEL_NAME, folder, release.registered_as)
    except ArtifactError as error:
        warn(f"the alias champion could not follow release {release.id}: {error}")
    except Exception as error:  # of MLflow, its database or the network; the pointer has moved
        first = without_password(str(error).strip().split("\n", 1)[0])[:MAX_CAUSE_CHARACTERS]
        warn(
            f"the alias champion could not follow release {release.id}, the next run tries again: "
            f"{type(error).__name__}: {first}"
        )
    return None
