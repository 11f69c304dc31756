"""Checks on real text that our merges and vocabulary are those of Hugging Face's trainer.

    python -m tests.benchmarks.documentation_text /tmp/documents.jsonl --megabytes 100
    python -m tests.benchmarks.vocab_exactness /tmp/documents.jsonl --megabytes 30 100

Whole documents are cut on both sides, each by its own code. Encoding must find the training
segmentation again: word by word, and in the number of tokens of all documents. Prints a line for
each configuration and ends with 1 if any differs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from model.bpe.alphabet import NUM_BYTES
from model.bpe.counting import count_words
from model.bpe.learner import LearnedMerges, learn
from model.bpe.tokenizer import PATTERNS, SPECIAL_TOKENS, spell_merges, tokenizer_json
from model.bpe.words import CountedWords
from tests.benchmarks.vocab_peers import read_texts

BATCH = 4096


@dataclass(frozen=True)
class Configuration:
    """What both trainers are asked for.

    Attributes:
        vocab_size: bytes and merges; special tokens and padding come on top.
    """

    pattern: str
    vocab_size: int
    min_frequency: int

    @property
    def name(self) -> str:
        """As in `gpt2-32k-min2`."""
        return f"{self.pattern}-{self.vocab_size // 1024}k-min{self.min_frequency}"

    @property
    def num_merges(self) -> int:
        """At the most; fewer when pairs run out."""
        return self.vocab_size - NUM_BYTES


CONFIGURATIONS = [
    Configuration("gpt2", 8192, 2),
    Configuration("gpt2", 32768, 1),
    Configuration("gpt2", 32768, 2),
    Configuration("gpt2", 65536, 1),
    Configuration("gpt2", 65536, 2),
    Configuration("gpt4", 32768, 1),
    Configuration("gpt4", 32768, 2),
]


@dataclass(frozen=True)
class Compared:
    """How one configuration came out.

    Attributes:
        differences: none when both are equal.
    """

    configuration: Configuration
    num_merges: int
    num_tokens: int
    differences: list[str]


def main() -> None:
    """Compare every configuration at every size."""
    arguments = parse_arguments()
    names = arguments.configuration or [each.name for each in CONFIGURATIONS]
    chosen = [each for each in CONFIGURATIONS if each.name in names]
    all_texts = list(read_texts(arguments.corpus))
    num_different = 0
    for megabytes in arguments.megabytes:
        texts = first_texts(all_texts, int(megabytes * 1e6))
        for configuration in chosen:
            started = time.perf_counter()
            compared = compare(configuration, texts)
            num_different += bool(compared.differences)
            seconds = time.perf_counter() - started
            sys.stdout.write(f"{line_of(compared, megabytes)} ({seconds:.0f} s)\n")
            sys.stdout.flush()
    raise SystemExit(1 if num_different else 0)


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="JSON lines with a text each")
    parser.add_argument(
        "--megabytes", type=float, nargs="+", default=[30, 100], help="taken from the beginning"
    )
    parser.add_argument(
        "--configuration", nargs="+", choices=[each.name for each in CONFIGURATIONS], metavar="NAME"
    )
    return parser.parse_args()


def first_texts(texts: Sequence[str], num_bytes: int) -> list[str]:
    """The first texts until there are that many bytes.

    Raises:
        SystemExit: there are fewer.
    """
    chosen = []
    for text in texts:
        if num_bytes <= 0:
            break
        chosen.append(text)
        num_bytes -= len(text.encode())
    if num_bytes > 0:
        raise SystemExit(f"the corpus has {num_bytes:,} bytes of text less than asked for")
    return chosen


def line_of(compared: Compared, megabytes: float) -> str:
    """The line to print."""
    found = "; ".join(compared.differences) or "equal"
    return (
        f"{compared.configuration.name:16} {megabytes:g} MB: {found}, "
        f"{compared.num_merges:,} merges, {compared.num_tokens:,} tokens"
    )


def compare(configuration: Configuration, texts: Sequence[str]) -> Compared:
    """Learn from the texts with both trainers, and encode them again."""
    words = count_words(texts, configuration.pattern)
    learned = learn(
        words, num_merges=configuration.num_merges, min_frequency=configuration.min_frequency
    )
    definition = tokenizer_json(learned.merges, pattern=configuration.pattern, pad_to_multiple=1)
    theirs = json.loads(hugging_face(configuration, texts).to_str())["model"]
    differences = [
        different_merges(spell_merges(learned.merges), theirs["merges"]),
        different_vocab(json.loads(definition)["model"]["vocab"], theirs["vocab"]),
        different_segmentation(words, learned, definition),
        different_total(texts, learned, definition),
    ]
    return Compared(
        configuration,
        len(learned.merges),
        learned.num_tokens,
        [text for text in differences if text],
    )


def hugging_face(configuration: Configuration, texts: Sequence[str]) -> Tokenizer:
    """What the library learns from the same documents, by its own cutting and counting."""
    tokenizer = Tokenizer(models.BPE())
    if configuration.pattern == "gpt2":  # the library has this pattern of its own
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        split = pre_tokenizers.Split(Regex(PATTERNS[configuration.pattern]), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=configuration.vocab_size,
        min_frequency=configuration.min_frequency,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def different_merges(ours: Sequence[tuple[str, str]], theirs: Sequence[list[str]]) -> str:
    """The first merge that differs, if any does."""
    for rank, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != tuple(other):
            return f"merge {rank} is {one} and theirs {tuple(other)}"
    return "" if len(ours) == len(theirs) else f"{len(ours)} merges and theirs {len(theirs)}"


def different_vocab(ours: dict[str, int], theirs: dict[str, int]) -> str:
    """A token whose id differs, if any does; our ids begin after the special tokens."""
    shifted = {token: token_id + len(SPECIAL_TOKENS) for token, token_id in theirs.items()}
    shifted |= {token: token_id for token_id, token in enumerate(SPECIAL_TOKENS)}
    different = sorted(ours.items() ^ shifted.items())
    return f"{len(different)} entries of the vocabulary, as {different[0]}" if different else ""


def different_segmentation(words: CountedWords, learned: LearnedMerges, definition: str) -> str:
    """The first word that encoding does not cut as learning did, if there is one."""
    encode = word_encoder(definition)
    begin = 0
    for batch in batches(word for word, _ in words):
        for word, ids in zip(batch, encode([word.decode() for word in batch]), strict=True):
            end = begin + len(ids)
            symbols = [token_id - len(SPECIAL_TOKENS) for token_id in ids]
            if learned.segmentation[begin:end].tolist() != symbols:
                return f"the word {word!r} is encoded in another way than it was learned"
            begin = end
    missing = len(learned.segmentation) - begin
    return f"{missing} symbols of the segmentation belong to no word" if missing else ""


def word_encoder(definition: str) -> Callable[[list[str]], list[list[int]]]:
    """Encodes words by the learned merges, without cutting them by the pattern again."""
    whole: dict[str, Any] = json.loads(definition)
    whole["pre_tokenizer"] = whole["pre_tokenizer"]["pretokenizers"][-1]
    assert whole["pre_tokenizer"]["type"] == "ByteLevel"
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    return lambda words: [each.ids for each in tokenizer.encode_batch_fast(words)]


def different_total(texts: Sequence[str], learned: LearnedMerges, definition: str) -> str:
    """The number of tokens that the documents are encoded in, if it is not what learning says."""
    tokenizer = Tokenizer.from_str(definition)
    num_tokens = sum(
        len(each.ids) for batch in batches(texts) for each in tokenizer.encode_batch_fast(batch)
    )
    expected = learned.num_tokens
    return "" if num_tokens == expected else f"documents are {num_tokens} tokens, not {expected}"


def batches(items: Any) -> Iterator[list[Any]]:
    """Lists of a few thousand items, so that not all are encoded at once."""
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch


if __name__ == "__main__":
    main()
