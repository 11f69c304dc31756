"""Queries that show where the embedder is at its best and at its worst.

Shape letters: Q queries, C candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.retrieval import Counts, Floats, matching_ranks
from tasks.evaluate.half_document import HalfDocuments
from tasks.evaluate.vectors import NamedPair, cosine_blocks

MAX_CHARACTERS = 240


@dataclass(frozen=True)
class Example:
    """One query.

    Attributes:
        title: of its document.
        asked: how its first half begins.
        answer: how its second half begins.
        rank: of the answer among all second halves, from 1.
        rival_title: of the document whose half came nearest of all others.
        rival: how that half begins.
        margin: similarity of the answer less that of the rival.
    """

    title: str
    asked: str
    answer: str
    rank: int
    rival_title: str
    rival: str
    margin: float


def retrieval_examples(
    vectors: NamedPair, halves: HalfDocuments, *, num: int
) -> tuple[list[Example], list[Example]]:
    """The queries won by the widest margin, and those lost by the widest, at most `num` each."""
    ranks_Q = matching_ranks(cosine_blocks(vectors.queries, vectors.candidates))
    margins_Q, rivals_Q = _beside_rivals(vectors)
    order_Q = np.argsort(-margins_Q, kind="stable")
    best = [int(query) for query in order_Q[:num] if ranks_Q[query] == 1]
    worst = [int(query) for query in order_Q[::-1][:num] if ranks_Q[query] > 1]
    made = [_example(query, halves, ranks_Q, rivals_Q, margins_Q) for query in (*best, *worst)]
    return made[: len(best)], made[len(best) :]


def _beside_rivals(vectors: NamedPair) -> tuple[Floats, Counts]:
    """How far each query's answer is above the best other candidate, and which that is."""
    margins, rivals = [], []
    first = 0
    for block in cosine_blocks(vectors.queries, vectors.candidates):
        rows = np.arange(len(block))
        of_answer = block[rows, first + rows].copy()
        block[rows, first + rows] = -np.inf
        nearest = block.argmax(axis=1)
        margins.append(of_answer - block[rows, nearest])
        rivals.append(nearest)
        first += len(block)
    return np.concatenate(margins), np.concatenate(rivals)


def _example(
    query: int, halves: HalfDocuments, ranks_Q: Counts, rivals_Q: Counts, margins_Q: Floats
) -> Example:
    rival = int(rivals_Q[query])
    return Example(
        title=halves.titles[query],
        asked=beginning(halves.first_halves[query]),
        answer=beginning(halves.second_halves[query]),
        rank=int(ranks_Q[query]),
        rival_title=halves.titles[rival],
        rival=beginning(halves.second_halves[rival]),
        margin=float(margins_Q[query]),
    )


def beginning(text: str, max_characters: int = MAX_CHARACTERS) -> str:
    """The first whole words of a text on one line, an ellipsis where more follows."""
    plain = " ".join(text.split())
    if len(plain) <= max_characters:
        return plain
    cut = plain[:max_characters]
    return (cut.rpartition(" ")[0] or cut) + " …"


def titles_for_points(halves: HalfDocuments) -> Sequence[str]:
    """What a point of the map says: the title, the label where there is one, and the beginning."""
    labels = halves.labels or [""] * halves.num_queries
    return [
        " · ".join(part for part in (title, label, beginning(first, 120)) if part)
        for title, label, first in zip(halves.titles, labels, halves.first_halves, strict=True)
    ]
