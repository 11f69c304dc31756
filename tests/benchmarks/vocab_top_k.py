"""Measures what merging several pairs in a round costs: bytes a token, tokens shared, seconds.

    python -m tests.benchmarks.documentation_text /tmp/documents.jsonl --megabytes 100
    python -m tests.benchmarks.vocab_top_k /tmp/documents.jsonl --vocab-size 32768 --top-k 10 100

All are learned from the same counts, byte level, GPT-2's pattern, and compared with one a round.
"""

import argparse
import sys
from pathlib import Path

from model.bpe.alphabet import NUM_BYTES
from model.bpe.counting import count_words
from model.bpe.learner import LearnedMerges, learn
from model.bpe.tokenizer import spell_symbols
from model.bpe.words import CountedWords
from tests.benchmarks.vocab_peers import measured, read_texts


def main() -> None:
    """Print a line for each number of pairs in a round."""
    arguments = parse_arguments()
    words = count_words(read_texts(arguments.corpus), "gpt2")
    learn(words.first(1000), num_merges=10)  # what is compiled or loaded once is no part of it
    exact, exact_s = run(words, arguments.vocab_size, 1)
    sys.stdout.write("top_k  rounds  bytes/token  against 1  tokens shared  CPU s, of 1\n")
    for top_k in (1, *arguments.top_k):
        learned, spent_s = run(words, arguments.vocab_size, top_k)
        shared = spelled(exact) & spelled(learned)
        sys.stdout.write(
            f"{top_k:5}{learned.num_rounds:8}{words.num_bytes / learned.num_tokens:13.4f}"
            f"{exact.num_tokens / learned.num_tokens - 1:+11.2%}"
            f"{len(shared) / len(exact.merges):15.3f}{spent_s / exact_s:13.2f}\n"
        )


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="JSON lines with a text each")
    parser.add_argument("--vocab-size", type=int, default=32768, help="bytes and merges")
    parser.add_argument("--top-k", type=int, nargs="+", default=[10, 100, 1000])
    return parser.parse_args()


def run(words: CountedWords, vocab_size: int, top_k: int) -> tuple[LearnedMerges, float]:
    """What is learned, and in how many CPU seconds."""
    num_merges = vocab_size - NUM_BYTES
    learned, spent = measured(lambda: learn(words, num_merges=num_merges, top_k=top_k))
    return learned, spent["cpu_s"]


def spelled(learned: LearnedMerges) -> set[bytes]:
    """The tokens that merging made."""
    return set(spell_symbols(learned.merges)[NUM_BYTES:])


if __name__ == "__main__":
    main()
