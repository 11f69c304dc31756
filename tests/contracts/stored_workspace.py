"""Keeps a small workspace as this version of corpusmith writes it, for later versions to read.

    python -m tests.contracts.stored_workspace tests/contracts/workspaces/NAME.tar.xz

Make one when a format changes, with the last version that wrote the old one; never change one that
is there. It holds the corpus, the settings and the workspace of a whole chain with a release.
"""

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tasks.release.pointer import publish
from tests.faults.stages import SETTINGS, run_stage, store_of, write_corpus

CORPUS, SETTINGS_FILE, WORKSPACE = "corpus", "settings.json", "workspace"
NUM_DOCUMENTS = 18
NARROW = {"hidden_size": 8, "num_heads": 1, "intermediate_size": 8, "tie_embeddings": True}
SMALLER: dict[str, dict[str, Any]] = {  # checkpoints are most of it, and random numbers do not pack
    "vocab": {"vocab_size": 264},
    "pretrain": {**NARROW, "max_steps": 4},
    "probe": {"num_checkpoints": 0, "num_documents": 10},
}


def main() -> None:
    """Run the chain, publish, and pack."""
    [packed] = sys.argv[1:]
    for stage, settings in SMALLER.items():
        SETTINGS[stage] |= settings
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fill(folder)
        with tarfile.open(packed, "w:xz", preset=9) as archive:
            for name in (CORPUS, SETTINGS_FILE, WORKSPACE):
                archive.add(folder / name, name)


def fill(folder: Path) -> None:
    """A corpus, settings, and a workspace with every stage's artifact and a release."""
    write_corpus(folder / CORPUS, NUM_DOCUMENTS)
    (folder / SETTINGS_FILE).write_text(json.dumps(SETTINGS))
    workspace = folder / WORKSPACE
    for last in ("probe", "evaluate"):
        run_stage(last, folder / CORPUS, workspace)
    export = run_stage("export", folder / CORPUS, workspace).ref
    store = store_of(workspace)
    [embedder] = [each.ref for each in store.artifacts() if each.ref.stage == "tune"]
    publish(store.workspace, embedder=embedder, export=export)


if __name__ == "__main__":
    main()
