"""Finds out which artifact of a workspace in a bucket a path or URL names; it need not be here."""

from pathlib import Path

from model.errors import RequestError
from model.json_files import parse_json
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.remote.lookup import BucketLookup

_LINK = ("published", "embeddings")


def request_of(lookup: BucketLookup, path: Path) -> tuple[str, str]:
    """(stage, input_id) of the artifact that is named, or that holds the file that is.

    Args:
        lookup: of the workspace.
        path: below the workspace; or with its URL, or this machine's folder, before it.

    Raises:
        RequestError: it is not of this workspace, or there is no such artifact or file.
    """
    parts = _below(lookup, path).parts
    if parts[:2] == _LINK:
        parts = (*_current_export(lookup), *parts[2:])
    if len(parts) < 3 or parts[0] != "artifacts":
        raise RequestError(
            f"{path} lies in no artifact of {lookup.bucket.url}: give a file below artifacts/ "
            "or published/embeddings"
        )
    stage, input_id = parts[1], parts[2]
    if lookup.bucket.manifest(stage, input_id) is None:
        raise RequestError(f"{path} does not exist: give an artifact or a file inside one")
    name = "/".join(parts[5:] if parts[3:4] == ("data",) else parts[3:])
    files = {entry.name for entry in lookup.read(stage, input_id).manifest.files}
    if name not in ("", MANIFEST_NAME) and not any(
        f"{file}/".startswith(f"{name}/") for file in files
    ):
        raise RequestError(f"{path} does not exist: the artifact has no file of that name")
    return stage, input_id


def _below(lookup: BucketLookup, path: Path) -> Path:
    """The path without what leads to the workspace."""
    for root in (Path(lookup.bucket.url), lookup.workspace.path):
        if path.is_relative_to(root):
            return path.relative_to(root)
    return path


def _current_export(lookup: BucketLookup) -> tuple[str, ...]:
    for _, raw in lookup.workspace.release_records(0):
        return tuple(str(parse_json(raw)["export"]["path"]).split("/"))
    raise RequestError(f"nothing is published in {lookup.bucket.url}: `corpusmith run` publishes")
