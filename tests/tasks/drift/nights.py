"""Corpora before and after a night, a masked language model, an embedder and its export."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from model.huggingface import save_masked_lm
from model.initialization import initialize
from model.mlm import MaskedLanguageModel
from tasks.drift.config import DriftConfig
from tasks.drift.definition import DRIFT, LEARNED, NEW, SINCE
from tasks.execute import Outcome, execute
from tasks.export.config import ExportConfig
from tasks.export.definition import EXPORT
from tasks.stage import map_in_order
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.store import Store
from tests.tasks.chain import ENCODER, SPECIALS, Listener, ingested, sealed
from tests.tasks.export.exports import embedder_artifact
from tests.tasks.store.making import identity_of, make

MERGES = [("e", "t"), ("a", "o"), ("et", "ao")]
Records = list[dict[str, Any]]
CONFIG = DriftConfig(num_documents=80, num_resamples=400, device="cpu")


def documents(
    num_documents: int, *, prefix: str, seed: int, letters: str = "etaoin-sh", split: str = "train"
) -> Records:
    """Documents of random letters, each with a length of its own."""
    draw = np.random.default_rng(seed)
    return [
        {
            "id": f"{prefix}{number}",
            "text": "".join(draw.choice(list(letters), size=draw.integers(30, 90))),
            "split": split,
        }
        for number in range(num_documents)
    ]


BEFORE: Records = [
    *documents(30, prefix="old", seed=1),
    *documents(8, prefix="val", seed=2, split="validation"),
    *documents(70, prefix="held", seed=3, split="test"),
]


@dataclass(frozen=True)
class Night:
    """What a refresh has before it measures."""

    store: Store
    folder: Path
    shared: dict[str, ArtifactRef]

    def refs(self, name: str, records: Records, **export: Any) -> dict[str, ArtifactRef]:
        """What drift reads where the corpus is of these records now."""
        corpus = commit(self.store, ingested(self.folder / name, records), name=name)
        read = {**self.shared, NEW: corpus}
        config = ExportConfig(device="cpu", **export)
        found = execute(
            EXPORT,
            config,
            read,
            store=self.store,
            report=Listener(),
            map_shards=map_in_order,
        )
        return {**read, "export": found.ref}

    def measure(self, refs: Mapping[str, ArtifactRef], config: DriftConfig = CONFIG) -> Outcome:
        return execute(
            DRIFT, config, refs, store=self.store, report=Listener(), map_shards=map_in_order
        )


def night(folder: Path, store: Store, before: Records) -> Night:
    """The artifacts behind a release of an embedder with fresh weights."""
    vocab = merging_vocab(folder / "vocab")
    corpus = commit(store, ingested(folder / "before", before), name="before")
    model = MaskedLanguageModel(ENCODER)
    initialize(model, ENCODER, 0)
    (folder / "encoder").mkdir()
    save_masked_lm(model, folder / "encoder")
    shared = {
        SINCE: corpus,
        LEARNED: corpus,
        "vocab": commit(store, vocab),
        "pretrain": commit(store, sealed(folder / "encoder", "pretrain")),
        "tune": commit(store, embedder_artifact(folder / "embedder", vocab)),
    }
    return Night(store, folder, shared)


def commit(store: Store, artifact: Artifact, **settings: Any) -> ArtifactRef:
    """A finished folder as an artifact of the store."""
    files = {file.name: artifact.file(file.name).read_bytes() for file in artifact.manifest.files}
    return make(store, identity_of(artifact.ref.stage, **settings), files=files).ref


def merging_vocab(folder: Path) -> Artifact:
    """Bytes, and three tokens of several of them."""
    folder.mkdir(parents=True)
    names = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, MERGES)]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return sealed(folder, "vocab")
