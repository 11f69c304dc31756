"""Learns a BPE vocabulary with corpusmith, in a process of its own, for the benchmarks.

    python -m tests.benchmarks.vocab_ours documents.jsonl --vocab-size 32768 --threads 1

The documents are read before anything is measured. What comes first of all is a vocabulary of a
few words, which loads the compiled code, or compiles it where none is cached; it is reported apart.
"""

import argparse
import json
import sys
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import cycle
from pathlib import Path

import numpy as np

from model.bpe.alphabet import NUM_BYTES
from model.bpe.counting import WordCounter
from model.bpe.learner import LearnedMerges, learn
from model.bpe.words import CountedWords
from tests.benchmarks.vocab_peers import measured, read_texts, usage

PATTERN = "gpt2"
MIN_FREQUENCY = 2
FEW_TEXTS = ["the cat sat on the mat, and the other cat's mat", " naïve 1234 词汇词汇 \n\n a" * 3]

AddTo = Callable[[WordCounter], None]  # adds one thread's share of the corpus


def main() -> None:
    """Prints one line of JSON: seconds of each phase, memory before, merges."""
    arguments = parse_arguments()
    num_merges = max(0, arguments.vocab_size - NUM_BYTES)
    _, load = measured(lambda: warm(arguments.form))
    shares = FORMS[arguments.form](read_texts(arguments.path), arguments.threads)
    bytes_before = usage().ru_maxrss * 1024
    words, count = measured(lambda: count_shares(shares))
    learned, learning = measured(lambda: learn_merges(words, num_merges))
    report = {
        "cpu_s": count["cpu_s"] + learning["cpu_s"],
        "wall_s": count["wall_s"] + learning["wall_s"],
        "count_cpu_s": count["cpu_s"],
        "learn_cpu_s": learning["cpu_s"],
        "load_cpu_s": load["cpu_s"],
        "load_wall_s": load["wall_s"],
        "bytes_before": bytes_before,
        "num_merges": len(learned.merges),
        "num_distinct_words": len(words),
        "num_tokens": learned.num_tokens,
    }
    sys.stdout.write(json.dumps(report) + "\n")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="JSON lines")
    parser.add_argument("--vocab-size", type=int, required=True, help="256 or less: count only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--form",
        choices=FORMS,
        default="texts",
        help="how documents are handed over: as strings, as one array of UTF-8, or as an array "
        "in which each line is a document",
    )
    return parser.parse_args()


def warm(form: str) -> None:
    """Use every compiled function once."""
    learn_merges(count_shares(FORMS[form](FEW_TEXTS, 2)), 5)


def count_shares(shares: list[AddTo]) -> CountedWords:
    """Count every share, each in a thread of its own, and add the counts up."""
    counters = [WordCounter(PATTERN) for _ in shares]
    if len(shares) == 1:
        shares[0](counters[0])
    else:
        with ThreadPoolExecutor(len(shares)) as threads:
            list(threads.map(lambda add_to, counter: add_to(counter), shares, counters))
    return reduce(merged, counters).words()


def merged(one: WordCounter, other: WordCounter) -> WordCounter:
    """The first counter, with what the other one counted."""
    one.add_words(other.words())
    return one


def learn_merges(words: CountedWords, num_merges: int) -> LearnedMerges:
    """The merges at `top_k` of 1, as all peers learn them."""
    return learn(words, num_merges=num_merges, min_frequency=MIN_FREQUENCY)


def share_texts(texts: Iterable[str], num_shares: int) -> list[AddTo]:
    """Strings, as the peers' iterators give them."""
    parts: list[list[str]] = [[] for _ in range(num_shares)]
    for part, text in zip(cycle(parts), texts, strict=False):
        part.append(text)
    return [text_adder(part) for part in parts]


def share_arrays(texts: Iterable[str], num_shares: int) -> list[AddTo]:
    """UTF-8 back to back, as columnar files hold it."""
    parts = [(bytearray(), array("q")) for _ in range(num_shares)]
    for (text_N, ends), text in zip(cycle(parts), texts, strict=False):
        text_N += text.encode()
        ends.append(len(text_N))
    return [array_adder(text_N, ends) for text_N, ends in parts]


def share_lines(texts: Iterable[str], num_shares: int) -> list[AddTo]:
    """As above, but cut as gigabpe cuts: each line with its newline is a document."""
    lines = (line + "\n" for text in texts for line in text.split("\n"))
    return share_arrays(lines, num_shares)


def text_adder(texts: list[str]) -> AddTo:
    """What adds these strings to a counter."""
    return lambda counter: counter.add_texts(texts)


def array_adder(text_N: bytearray, ends: "array[int]") -> AddTo:
    """What adds the documents that lie in one array, and end there, to a counter."""
    text, where = np.frombuffer(text_N, dtype=np.uint8), np.frombuffer(ends, dtype=np.int64)
    return lambda counter: counter.add(text, where)


FORMS: dict[str, Callable[[Iterable[str], int], list[AddTo]]] = {
    "texts": share_texts,
    "arrays": share_arrays,
    "lines": share_lines,
}


if __name__ == "__main__":
    main()
