"""A corpus with labels for the probe's tests, and what ingest and tokenize leave of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.corpus import Corpus
from tasks.probe.sample import Tokens
from tests.tasks.evaluate.folders import write_corpus
from tests.tasks.probe.encoders import rising_documents

NAMES = ("upwards_zq", "downwards_zq")  # that occur nowhere else
NUM_DOCUMENTS = {"train": 160, "validation": 80, "test": 80}


@dataclass(frozen=True)
class LabelledCorpus:
    """Tokens by split with their ids, and the label of each id.

    Documents of rising tokens have one label, those of falling tokens the other: the tokens
    themselves say nothing, and whoever sees a document can check its label.
    """

    tokens: dict[str, list[Tokens]]
    ids: dict[str, list[str]]
    labels: dict[str, Any]


def labelled_corpus(num_documents: Mapping[str, int] = NUM_DOCUMENTS) -> LabelledCorpus:
    tokens, ids, labels = {}, {}, {}
    for seed, (split, number) in enumerate(num_documents.items()):
        generator = np.random.default_rng(seed + 10)
        tokens[split] = rising_documents(number, seed, longest=60)
        ids[split] = [f"{split}-{place}" for place in range(number)]
        for place, name in enumerate(ids[split]):
            falls = int(generator.integers(2))
            labels[name] = NAMES[falls]
            extra = np.arange(5, 15, dtype=np.uint16)  # so that all have an order to show
            rising = np.unique(np.concatenate([tokens[split][place], extra]))
            tokens[split][place] = rising[::-1].copy() if falls else rising
    return LabelledCorpus(tokens, ids, labels)


def corpus_of(
    labelled: LabelledCorpus, folder: Path, *, label_column: str | None = "kind"
) -> Corpus:
    """The corpus in another order than the tokens."""
    rows = [
        {"doc_id": name, "text": name, "split": split, "kind": labelled.labels[name]}
        for split, names in labelled.ids.items()
        for name in names
    ]
    order = np.random.default_rng(3).permutation(len(rows))
    return Corpus(write_corpus(folder, [rows[at] for at in order], label_column=label_column))


def write_tokens(
    folder: Path,
    documents: Mapping[str, Sequence[Tokens]],
    ids: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """What the tokenize stage leaves, in two shards a split."""
    (folder / "tokens").mkdir(parents=True)
    for split, own in documents.items():
        names = ids[split] if ids else [f"{split}-{place}" for place in range(len(own))]
        half = len(own) // 2
        for shard, part in enumerate((slice(0, half), slice(half, None))):
            rows = pa.array([row.tolist() for row in own[part]], pa.large_list(pa.uint16()))
            columns = {"doc_id": pa.array(names[part], pa.string()), "token_ids": rows}
            table = pa.table(columns | {"num_bytes": pa.array([9] * len(rows))})
            path = folder / "tokens" / f"{split}-{shard:05d}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
                out.write_table(table)
