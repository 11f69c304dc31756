"""Texts that the library's vocabularies are learned from, and a digest of what came of them."""

import ast
import hashlib
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tasks.vocab.library import train_library
from tests.corpora import topic_documents

ALGORITHMS = ("unigram", "wordpiece", "words")
MORE = [
    "the lowest [MASK] of  two newer\n\n\twidest\r\n x[PAD]y [unused0] (see [1], [CLS]) \x00 ▁",
    "l'été 名前は 東京 東京都 ภาษาไทย 1234 e\u0301 👩‍👩‍👧 <UNK> <UNK>",
]


@cache
def texts() -> tuple[str, ...]:
    """Made documents, real docstrings, and a few wild lines."""
    made = [str(document["text"]) for document in topic_documents(40)]
    return (*made, *docstrings(Path(ast.__file__)), *docstrings(Path(random.__file__)), *MORE)


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def digests(order_seed: int) -> list[str]:
    """Of every kind of vocabulary in three sizes, from the texts in a random order."""
    order = list(texts())
    random.Random(order_seed).shuffle(order)
    return [
        hashlib.sha256(
            train_library(algorithm, iter(order), vocab_size=size, pad_to_multiple=1).encode()
        ).hexdigest()
        for algorithm in ALGORITHMS
        for size in (400, 800, 3000)
    ]
