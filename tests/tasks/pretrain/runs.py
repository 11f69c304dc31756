"""Pretraining of a tiny encoder on a small corpus, also as a program of its own to be killed."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import torch

from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.stage import PRETRAIN
from tasks.stage import Metrics, StageContext
from tasks.store.artifact import Artifact
from tests.tasks.chain import Listener, byte_vocab, ingested, sealed, tokenized, topic_documents

QUICK: dict[str, Any] = {
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 48,
    "num_layers": 2,
    "max_steps": 24,
    "rows_per_step": 4,
    "learning_rate": 3e-3,
    "precision": "fp32",
}


def upstream(root: Path, documents: list[dict[str, str]] | None = None) -> dict[str, Artifact]:
    """A vocabulary and tokens below `root`, made where they are not there yet."""
    if not (root / "tokenize").exists():
        documents = documents or [
            *topic_documents(120, split="train", seed=0, prefix="t"),
            *topic_documents(20, split="validation", seed=1, prefix="v"),
            *topic_documents(4, split="test", seed=2, prefix="x"),
        ]
        corpus = ingested(root / "ingest", documents)
        tokenized(root / "tokenize", corpus, byte_vocab(root / "vocab"))
    return {name: sealed(root / name, name) for name in ("vocab", "tokenize")}


def pretrain(root: Path, output: Path, listener: Listener, **changes: Any) -> Metrics:
    """Run the stage into `output` on one thread."""
    torch.set_num_threads(1)
    output.mkdir(exist_ok=True)
    config = PretrainConfig(**{**QUICK, **changes})
    return PRETRAIN.run(StageContext(config, upstream(root), output, listener))


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    root, output, max_steps, *others = sys.argv[1:]
    changes = {name: int(value) for name, _, value in (other.partition("=") for other in others)}
    pretrain(Path(root), Path(output), Listener(), max_steps=int(max_steps), **changes)
