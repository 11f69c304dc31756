"""Finds what a workspace made last, for benchmarks that are given only the workspace."""

from pathlib import Path

from tasks.store.manifest import MANIFEST_NAME


def newest_artifact(workspace: Path, stage: str) -> Path:
    """The folder of the stage's artifact that was finished last.

    Raises:
        SystemExit: there is none.
    """
    manifests = (workspace / "artifacts" / stage).glob(f"*/{MANIFEST_NAME}")
    newest = max(manifests, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise SystemExit(f"{workspace} has no artifact of {stage}: run it first")
    return newest.parent
