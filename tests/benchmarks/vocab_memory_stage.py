"""Counts and learns from a corpus artifact as the vocab stage does, for `vocab_memory`.

python -m tests.benchmarks.vocab_memory_stage CORPUS OUTPUT MAX_PRETOKENS
"""

import json
import sys
from pathlib import Path

from tasks.corpus import Corpus
from tasks.vocab.config import VocabConfig
from tasks.vocab.learning import count_corpus, learn_from
from tests.tasks.vocab.inputs import context


def main() -> None:
    """Prints one line of JSON."""
    folder, output, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    config = VocabConfig(vocab_size=32768, max_pretokens=limit or None)
    made = context(config, {"ingest": folder}, output)
    merged = count_corpus(made, Corpus(folder))
    learn_from(merged.words, config)
    report = {
        "num_kept": len(merged.words),
        "num_distinct": merged.num_distinct,
        "kept_frac": merged.words.num_bytes / merged.num_bytes,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
