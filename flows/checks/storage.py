"""The bucket of a workspace on s3://: does it answer, let us in, and keep conditions?"""

from pathlib import Path

from flows.checks.check import Check, check
from flows.checks.place import nearest_folder
from model.errors import CorpusmithError
from tasks.store.remote.location import is_remote
from tasks.store.remote.opening import ignored_condition, locate, read_format
from tasks.store.workspace import Workspace


def place_of(workspace: str) -> Path:
    """Where this machine works for the workspace, or the folder that exists above it.

    Raises:
        RequestError: it is no address, or the library for it is not installed.
    """
    return nearest_folder(str(Workspace.named(workspace).path))


def storage_checks(workspace: str) -> list[Check]:
    """Reachable, permitted, and with conditional writes; none where the workspace is a folder."""
    return [_storage_check(workspace)] if is_remote(workspace) else []


def _storage_check(workspace: str) -> Check:
    """The first thing wrong is told; what is written to find out is removed."""
    try:
        _, bucket = locate(workspace)
        there = read_format(bucket) is not None
        problem = ignored_condition(bucket.objects)
    except CorpusmithError as error:
        return check("storage", False, str(error))
    if problem:
        return check("storage", False, f"{bucket.url}: {problem}")
    what = "a workspace" if there else "no workspace yet"
    return check("storage", True, f"{bucket.url} answers, keeps conditions, holds {what}")
