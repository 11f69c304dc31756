"""Texts of documents found by a search, and the passage of each that a reader wants to see."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import ArtifactError
from tasks.corpus import Corpus, read_shard

MAX_PASSAGE_CHARACTERS = 200
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class FoundTexts:
    """Texts by their content_sha256, and the corpus's title column."""

    by_hash: dict[bytes, str]
    title_column: str | None


def texts_of(corpus_folder: Path, hashes: Collection[bytes]) -> FoundTexts:
    """The texts with these hashes. A duplicate has its twin's hash, so it gets the twin's text.

    Raises:
        ArtifactError: the corpus is missing or damaged.

    Cost: the hash column of the shards up to the last one wanted, and the text of those row groups
    that hold one; one row group's texts in memory at a time.
    """
    corpus = Corpus(corpus_folder)
    wanted = pa.array(sorted(hashes), pa.binary(32))
    texts: dict[bytes, str] = {}
    for shard in corpus.shards:
        if len(texts) == len(wanted):
            break
        column = read_shard(shard, ["content_sha256"])["content_sha256"]
        is_wanted = pc.is_in(column, wanted).to_numpy()
        if is_wanted.any():
            texts |= _texts_at(shard, is_wanted)
    return FoundTexts(texts, corpus.about.title_column)


def _texts_at(path: Path, is_wanted: np.ndarray) -> dict[bytes, str]:
    """Texts of the rows marked, by hash; row groups without one are not read."""
    texts: dict[bytes, str] = {}
    first = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as shard:
            for group in range(shard.num_row_groups):
                last = first + shard.metadata.row_group(group).num_rows
                if is_wanted[first:last].any():
                    rows = shard.read_row_group(group, columns=["content_sha256", "text"])
                    rows = rows.filter(pa.array(is_wanted[first:last]))
                    hashes = rows["content_sha256"].to_pylist()
                    texts |= dict(zip(hashes, rows["text"].to_pylist(), strict=True))
                first = last
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise ArtifactError(
            f"{path} cannot be read ({first_line}): delete the artifact and run again"
        ) from None
    return texts


def best_passage(text: str, query: str, max_characters: int = MAX_PASSAGE_CHARACTERS) -> str:
    """The stretch of whole words with most distinct words of the query, the first of equals.

    White space is narrowed to single blanks; what was left out is marked with an ellipsis. The
    query may be a whole document; cost grows with both lengths only linearly.
    """
    plain = " ".join(text.split())
    if len(plain) <= max_characters:
        return plain
    start = _best_start(plain, set(_WORD.findall(query.lower())), max_characters)
    passage = plain[start : start + max_characters]
    is_end = start + max_characters >= len(plain)
    if not is_end and " " in passage and plain[start + max_characters] != " ":
        passage = passage.rpartition(" ")[0]
    return ("… " if start else "") + passage.strip() + ("" if is_end else " …")


def _best_start(plain: str, wanted: set[str], max_characters: int) -> int:
    """Where the best passage begins: at the first of its words that the query has."""
    hits = [
        (match.start(), word)
        for match in _WORD.finditer(plain)
        if (word := match.group().lower()) in wanted
    ]
    within: Counter[str] = Counter()  # words of the passage that begins at the current hit
    best, best_start, end = 0, 0, 0
    for start, word in hits:
        while end < len(hits) and hits[end][0] < start + max_characters:
            within[hits[end][1]] += 1
            end += 1
        if len(within) > best:
            best, best_start = len(within), start
        within[word] -= 1
        if not within[word]:
            del within[word]
    return best_start
