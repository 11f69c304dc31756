"""Learns a BPE vocabulary with one peer; run by an interpreter that has it.

    python vocab_peers.py gigabpe documents.jsonl --vocab-size 32768 --threads 1

The documents are read before anything is measured, into the form that the peer's interface takes:
a list of whole documents, a list of lines, or a file of plain text where it takes only a path.
What is measured is the call that learns, in this process and all its threads.
"""

import argparse
import importlib.metadata
import io
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
NUM_BYTES = 256
FLOOR = "read"

Train = Callable[[], int]  # learns, and says how many merges there are


def main() -> None:
    """Prints one line of JSON: seconds of the call, memory before it, merges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=PEERS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--vocab-size", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for name in ("RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"):
        os.environ[name] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if arguments.threads > 1 else "false"
    with tempfile.TemporaryDirectory() as folder:
        prepare = PEERS[arguments.system]
        train = prepare(arguments.path, arguments.vocab_size, arguments.threads, Path(folder))
        bytes_before = usage().ru_maxrss * 1024
        num_merges, spent = measured(train)
    report = {**spent, "bytes_before": bytes_before, "num_merges": num_merges}
    if arguments.system != FLOOR:
        report["version"] = importlib.metadata.version(arguments.system)
    sys.stdout.write(json.dumps(report) + "\n")


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a file of JSON lines, one after another."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def measured(run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call returns, and what it took in this process and all its threads."""
    before, started = usage(), time.perf_counter()
    found = run()
    wall_s, after = time.perf_counter() - started, usage()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found, {"cpu_s": cpu_s, "wall_s": wall_s}


def usage() -> resource.struct_rusage:
    """What this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF)


def prepare_tokenizers(corpus: Path, vocab_size: int, num_threads: int, folder: Path) -> Train:
    """Hugging Face: an iterator of whole documents, GPT-2's pattern. Threads by environment."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = list(read_texts(corpus))

    def train() -> int:
        tokenizer.train_from_iterator(texts, trainer)
        return int(tokenizer.get_vocab_size()) - NUM_BYTES

    return train


def prepare_rustbpe(corpus: Path, vocab_size: int, num_threads: int, folder: Path) -> Train:
    """rustbpe: an iterator of whole documents, GPT-2's pattern. Threads by environment."""
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    texts = list(read_texts(corpus))

    def train() -> int:
        tokenizer.train_from_iterator(iter(texts), vocab_size, pattern=GPT2)
        return int(tokenizer.vocab_size) - NUM_BYTES

    return train


def prepare_gigabpe(corpus: Path, vocab_size: int, num_threads: int, folder: Path) -> Train:
    """gigabpe: takes only paths, so the file is read inside the call; GPT-2's pattern, by lines.

    Its alphabet is the bytes that occur, so it learns a few merges more than the others.
    """
    import gigabpe

    path = write_lines(corpus, folder)
    size = 0 if vocab_size <= NUM_BYTES else vocab_size

    def train() -> int:
        _, merges = gigabpe.train_bpe(
            [str(path)],
            vocab_size=size,
            min_frequency=2,
            pretokenizer="bytelevel",
            threads=num_threads,
        )
        return len(merges)

    return train


def prepare_sentencepiece(corpus: Path, vocab_size: int, num_threads: int, folder: Path) -> Train:
    """SentencePiece BPE: an iterator of lines, its own rules, no normalization.

    Its alphabet is the characters of the corpus, so without merges it needs a larger vocabulary
    than 256, and it is asked which.
    """
    import sentencepiece

    lines = [line for text in read_texts(corpus) for line in text.split("\n")]
    size = vocab_size

    def learn(model: io.BytesIO) -> None:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            byte_fallback=True,
            normalization_rule_name="identity",
            max_sentence_length=2**30,
            num_threads=num_threads,
            minloglevel=2,
        )

    if vocab_size <= NUM_BYTES:
        size = smallest_size(learn)

    def train() -> int:
        model = io.BytesIO()
        learn(model)
        found = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        is_merge = [len(found.id_to_piece(i)) > 1 and not found.is_byte(i) for i in range(size)]
        return sum(is_merge) - 3  # [UNK] and the two ends of a sentence

    return train


def smallest_size(learn: Callable[[io.BytesIO], None]) -> int:
    """The vocabulary that holds SentencePiece's alphabet, from what it says of a smaller one."""
    try:
        learn(io.BytesIO())
    except RuntimeError as error:
        found = re.findall(r"\d{3,}", str(error))
        return int(found[-1])
    raise RuntimeError("SentencePiece took a vocabulary that has no place for its alphabet")


def prepare_floor(corpus: Path, vocab_size: int, num_threads: int, folder: Path) -> Train:
    """No peer: the plain read of the file that gigabpe reads."""
    path = write_lines(corpus, folder)

    def train() -> int:
        path.read_bytes()
        return 0

    return train


def write_lines(corpus: Path, folder: Path) -> Path:
    """The documents one after another as plain text."""
    path = folder / "documents.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(text + "\n" for text in read_texts(corpus))
    return path


PEERS: dict[str, Callable[[Path, int, int, Path], Train]] = {
    "tokenizers": prepare_tokenizers,
    "rustbpe": prepare_rustbpe,
    "gigabpe": prepare_gigabpe,
    "sentencepiece": prepare_sentencepiece,
    FLOOR: prepare_floor,
}


if __name__ == "__main__":
    main()
