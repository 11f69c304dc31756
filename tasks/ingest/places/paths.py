"""Finds the files behind the user's paths, on this machine and elsewhere."""

from collections.abc import Sequence

from tasks.ingest.config import IngestConfig
from tasks.ingest.places.local_files import find_local
from tasks.ingest.places.location import FoundFile
from tasks.ingest.places.remote_uris import is_uri, local_path


def check_paths(config: IngestConfig) -> None:
    """Check that every path of the request leads to files, before anything starts.

    Lists what is remote, and reads nothing.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
    """
    find_files(config.paths)


def find_files(paths: Sequence[str]) -> list[FoundFile]:
    """Every file behind the paths, once, sorted by name.

    Folders are walked through. Symbolic links and hidden files below a given path are passed
    over; a path that is itself a link is followed.

    Args:
        paths: files, folders, globs, or URIs of them such as ``s3://bucket/prefix``.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
    """
    found: dict[str, FoundFile] = {}
    for path in paths:
        for file in _find(local_path(path)):
            known = found.setdefault(file.location, file)
            if file.name < known.name:
                found[file.location] = file
    return sorted(found.values(), key=lambda file: (file.name, file.location))


def _find(path: str) -> list[FoundFile]:
    if not is_uri(path):
        return find_local(path)
    from tasks.ingest.places.remote_listing import find_remote

    return find_remote(path)
