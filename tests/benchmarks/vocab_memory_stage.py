"""Counts and learns from a corpus artifact as the vocab stage does, for `vocab_memory`.

python -m tests.benchmarks.vocab_memory_stage CORPUS OUTPUT MAX_PRETOKENS
"""

import json
import sys
from pathlib import Path

from tasks.corpus import Corpus
from tasks.vocab.config import VocabConfig
from tasks.vocab.learning import learn_vocabulary
from tests.tasks.vocab.inputs import Listener, context


def main() -> None:
    """Prints one line of JSON."""
    folder, output, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    listener = Listener()
    config = VocabConfig(vocab_size=32768, max_pretokens=limit or None)
    made = context(config, {"ingest": folder}, output, listener)
    learned = learn_vocabulary(made, Corpus(folder))
    assert learned.words is not None
    omitted = [w.split("rarest ")[1] for w in listener.warnings if "max_pretokens" in w]
    num_omitted = int(omitted[0].split()[0].replace(",", "")) if omitted else 0
    omitted_frac = float(omitted[0].split("pretokens, ")[1].split("%")[0]) / 100 if omitted else 0
    report = {
        "num_kept": len(learned.words),
        "num_distinct": len(learned.words) + num_omitted,
        "kept_frac": 1 - omitted_frac,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
