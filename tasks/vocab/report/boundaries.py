"""Where words should be cut, and how far the boundaries of tokens agree."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import regex

from model.errors import CorpusError, RequestError
from tasks.stage import Metrics
from tasks.vocab.report.measures import Int64s, Reading, Sample, Spans

LETTERS = regex.compile(r"[\p{L}\p{M}]+")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class Gold:
    """Where the words of a sample should be cut.

    Attributes:
        sample: the text.
        words: the spans that are judged; nothing outside them is.
        positions: the right boundaries strictly inside them, sorted, int64.
    """

    sample: Sample
    words: Spans
    positions: Int64s


def agreement(reading: Reading, gold: Gold) -> Metrics:
    """Precision, recall and F1 of token boundaries inside the judged words.

    A measure without anything to count is left out: precision where no word is cut, recall where
    none should be.
    """
    assert reading.sample is gold.sample, "measured on another text"
    inside = reading.boundaries[gold.words.holding(reading.boundaries) >= 0]
    num_right = len(np.intersect1d(inside, gold.positions))
    counts = {"precision": len(inside), "recall": len(gold.positions)}
    measured = {name: num_right / count for name, count in counts.items() if count}
    if total := sum(counts.values()):
        measured["f1"] = 2 * num_right / total
    return measured


def lines_of(path: Path, setting: str) -> Iterator[str]:
    """Lines of a text file in UTF-8, plain or gzip, that a setting names.

    Raises:
        RequestError: there is no such file, or it ends in the middle.
        CorpusError: it is no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP_MAGIC
        read = gzip.open if is_gzip else open
        with read(path, "rt", encoding="utf-8-sig") as lines:
            yield from (line.rstrip("\r\n") for line in lines)
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{setting}: {path} cannot be read ({error})") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{setting}: {path} is not UTF-8 text") from None
