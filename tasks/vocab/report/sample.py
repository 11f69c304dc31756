"""Takes a small, even sample of a split, so that reports cost seconds on any corpus."""

from collections.abc import Iterable
from itertools import islice

from tasks.corpus import Corpus


def sample_texts(corpus: Corpus, split: str, max_bytes: int) -> list[str]:
    """Every n-th document of the split, n such that they come to about `max_bytes` in UTF-8.

    No single document takes more than all of it; a longer one is cut.
    """
    stride = max(1, -(-corpus.about.num_text_bytes[split] // max_bytes))
    return _up_to(islice(corpus.texts(split), 0, None, stride), max_bytes)


def _up_to(texts: Iterable[str], max_bytes: int) -> list[str]:
    taken: list[str] = []
    for text in texts:
        beginning = text.encode()[:max_bytes].decode(errors="ignore")
        taken.append(beginning)
        max_bytes -= len(beginning.encode())
        if max_bytes <= 0:
            break
    return taken
