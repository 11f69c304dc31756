"""Finds the source files of the running Python's standard library, the built-in corpus."""

import os
import sysconfig
from pathlib import Path

from model.errors import CorpusError
from tasks.ingest.places.location import FoundFile

_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
)


def find_builtin_files() -> list[FoundFile]:
    """The library's source files, sorted, named relative to its folder; tests are left out.

    Raises:
        CorpusError: this Python came without its library's source.
    """
    root = Path(sysconfig.get_path("stdlib")).resolve()
    files = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _SKIPPED_FOLDERS]
        paths = [Path(folder, name) for name in names if name.endswith(".py")]
        files += [
            FoundFile(path.relative_to(root).as_posix(), str(path.resolve())) for path in paths
        ]
    if not files:
        raise CorpusError(f"there is no Python source in {root}: name files to read instead")
    return sorted(files, key=lambda file: file.name)
