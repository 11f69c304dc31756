"""The workspace's folder: may we write there, may nobody else, and is there room?"""

import os
import shutil
import stat
from pathlib import Path

from flows.checks.check import Check, check

MIN_FREE_BYTES = 2_000_000_000
WRITTEN = ("artifacts", "staging", "leases", "quarantine", "runs", "published", "state")


def nearest_folder(workspace: str) -> Path:
    """The workspace's folder, or the one that exists above it."""
    place = Path(workspace).expanduser().absolute()
    while not place.exists():
        place = place.parent
    return place


def permission_check(place: Path) -> Check:
    """That we can write wherever a run does; a warning where everybody can."""
    folders = [place, *(place / name for name in WRITTEN if (place / name).exists())]
    closed = [folder for folder in folders if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)]
    if closed:
        advice = "choose another --workspace, or ask for permission"
        return check("permissions", False, f"{closed[0]} cannot be written: {advice}")
    loose = [folder for folder in folders if _anybody_writes(folder)]
    if loose:
        return check(
            "permissions", "warning", f"anybody may write {loose[0]}: chmod o-w {loose[0]}"
        )
    return check("permissions", True, f"{place} can be written")


def disk_check(place: Path) -> Check:
    """That there is room for a run."""
    free = shutil.disk_usage(place).free
    finding = f"{free / 1e9:.1f} GB free at {place}"
    enough = free >= MIN_FREE_BYTES
    advice = "at least 2 GB are needed: make room (`corpusmith gc`), or choose another --workspace"
    return check("disk", enough, finding if enough else f"{finding}: {advice}")


def _anybody_writes(folder: Path) -> bool:
    """World-writable, and not protected as a folder for temporary files is."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
