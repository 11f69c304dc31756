"""Makes a corpus artifact of made-up text for `vocab_memory`, shard by shard.

python -m tests.benchmarks.vocab_memory_corpus FOLDER --megabytes 100
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LETTERS = np.array(list("etaoinshrdlcumwfgypbvk"))
SHARD_MEGABYTES = 25
WORDS_PER_DOCUMENT = 300
EXPONENT = 1.3  # of the ranks: gives some 3 distinct words in a hundred at 100 MB, as real text


def main() -> None:
    """Write the shards and `corpus.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=float, required=True)
    arguments = parser.parse_args()
    (arguments.folder / "documents").mkdir(parents=True)
    num_shards = max(1, round(arguments.megabytes / SHARD_MEGABYTES))
    shards = [write_shard(arguments.folder, number) for number in range(num_shards)]
    num_documents = sum(int(shard["num_documents"]) for shard in shards)
    about = {
        "num_documents": {"train": num_documents, "validation": 0, "test": 0},
        "num_text_bytes": {"train": num_shards * SHARD_MEGABYTES * 10**6},
        **{f"num_{name}": 0 for name in ("read", "kept", "duplicate", "dropped", "quarantined")},
        "reasons": {},
        "label_column": None,
        "title_column": None,
        "metadata_columns": [],
        "shards": shards,
    }
    (arguments.folder / "corpus.json").write_text(json.dumps(about), "utf-8")
    sys.stdout.write(json.dumps({"num_documents": num_documents}) + "\n")


def write_shard(folder: Path, number: int) -> dict[str, str | int]:
    """One shard of training documents, by its own seed."""
    rng = np.random.default_rng(number)
    texts: list[str] = []
    num_bytes = 0
    while num_bytes < SHARD_MEGABYTES * 10**6:
        texts.append(" ".join(spell(rank) for rank in rng.zipf(EXPONENT, WORDS_PER_DOCUMENT)))
        num_bytes += len(texts[-1])
    name = f"documents/shard-{number:05d}.parquet"
    table = pa.table({"text": texts, "split": ["train"] * len(texts)})
    pq.write_table(table, folder / name, row_group_size=1024)
    return {"name": name, "num_documents": len(texts)}


def spell(rank: int) -> str:
    """The word of a rank: short for frequent ones, always the same."""
    letters = []
    rank = min(int(rank), 10**9)
    while rank:
        rank, letter = divmod(rank, len(LETTERS))
        letters.append(LETTERS[letter])
    return "".join(letters)


if __name__ == "__main__":
    main()
