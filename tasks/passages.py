"""Texts of documents found by a search, and the passage of each that a reader wants to see."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

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

    Cost: the hash column of every shard, and the text of those shards that hold one; one shard's
    texts in memory at a time.
    """
    corpus = Corpus(corpus_folder)
    wanted = pa.array(sorted(hashes), pa.binary(32))
    texts: dict[bytes, str] = {}
    for shard in corpus.shards:
        is_wanted = pc.is_in(read_shard(shard, ["content_sha256"])["content_sha256"], wanted)
        if pc.any(is_wanted).as_py():
            found = read_shard(shard, ["content_sha256", "text"]).filter(is_wanted)
            texts |= dict(
                zip(found["content_sha256"].to_pylist(), found["text"].to_pylist(), strict=True)
            )
        if len(texts) == len(wanted):
            break
    return FoundTexts(texts, corpus.about.title_column)


def best_passage(text: str, query: str, max_characters: int = MAX_PASSAGE_CHARACTERS) -> str:
    """The stretch of whole words with most distinct words of the query, the first of equals.

    White space is narrowed to single blanks; what was left out is marked with an ellipsis.
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
    best, best_start = 0, 0
    for index, (start, _) in enumerate(hits):
        within = {word for at, word in hits[index:] if at < start + max_characters}
        if len(within) > best:
            best, best_start = len(within), start
    return best_start
