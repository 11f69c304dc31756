"""What tests look at on the disk: what a stage wrote, and real data beside the checkout."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def shared_data(name: str) -> Path:
    """A folder or file of real data. The tests must pass where there is none: they skip then."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"needs real data that is not part of the project: {path}")
    return path
