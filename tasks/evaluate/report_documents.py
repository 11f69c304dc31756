"""Sections of the evaluation's page on single documents: a map of them, and telling examples."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.document_map import MAX_DOCUMENTS, document_map
from tasks.evaluate.examination import Answers, Examination
from tasks.evaluate.half_document import HalfDocuments
from tasks.evaluate.retrieval_examples import (
    Example,
    retrieval_examples,
    titles_for_points,
)
from tasks.evaluate.vectors import NamedPair, unit_rows
from tasks.report.page import Figure, Section, Table, format_number
from tasks.report.scatter import scatter_plot

_NUM_EXAMPLES = 5


def places_of(answers: Answers, *, seed: int) -> NDArray[np.float32]:
    """Where the first `MAX_DOCUMENTS` test documents lie on the map, ``[N, 2]``: each at the mean
    of its halves."""
    halves = _own_halves(answers)
    shown = slice(0, MAX_DOCUMENTS)
    whole_ND = unit_rows(halves.queries[shown] + halves.candidates[shown])
    return document_map(whole_ND, seed=seed)


def document_sections(
    answers: Answers, asked: Examination, places_N2: NDArray[np.float32], *, may_quote: bool
) -> Iterator[Section]:
    """A map of the test documents and, where text may be quoted, queries won and lost."""
    yield _map_section(places_N2, asked.halves, may_quote=may_quote)
    if may_quote:
        yield _example_section(_own_halves(answers), asked.halves)


def _own_halves(answers: Answers) -> NamedPair:
    assert answers.own_halves is not None, "the embedder is examined first"
    return answers.own_halves


def _map_section(
    places_N2: NDArray[np.float32], halves: HalfDocuments, *, may_quote: bool
) -> Section:
    num_shown = len(places_N2)
    groups = None if halves.labels is None else halves.labels[:num_shown]
    titles = titles_for_points(halves) if may_quote else groups or [""] * num_shown
    figure = Figure(
        svg=scatter_plot(places_N2, titles=titles[:num_shown], groups=groups),
        title="A map of the test documents",
        says=f"{num_shown:,} documents; those that lie together are near each other in the "
        "embedder's space." + (" Point at one to read what it is." if may_quote else ""),
        note="t-SNE of the mean of each document's halves: who lies beside whom counts, distances "
        "between far groups do not."
        + ("" if groups is None else " Coloured by label; the embedder was not shown any."),
        wide=True,
    )
    return Section(title="Where documents lie", blocks=[figure])


def _example_section(vectors: NamedPair, halves: HalfDocuments) -> Section:
    best, worst = retrieval_examples(vectors, halves, num=_NUM_EXAMPLES)
    tables = [
        _example_table("The queries won by the widest margin.", best),
        _example_table("The queries lost by the widest margin.", worst),
    ]
    return Section(
        title="At its best and at its worst",
        paragraphs=[
            "The margin is how much more alike the embedder finds the right half than the nearest "
            "wrong one."
        ],
        blocks=[table for table in tables if table.rows],
    )


def _example_table(says: str, examples: Sequence[Example]) -> Table:
    return Table(
        says=says,
        columns=["document", "asked", "right answer", "nearest other", "rank", "margin"],
        rows=[
            [
                example.title,
                example.asked,
                example.answer,
                f"{example.rival_title}: {example.rival}",
                f"{example.rank:,}",
                format_number(example.margin),
            ]
            for example in examples
        ],
        num_label_columns=4,
        wraps=True,
    )
