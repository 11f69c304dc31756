"""Right boundaries from a treebank.

A CoNLL-U file says where its own text falls into words: multiword tokens (`don't` into `do` and
`n't`), words that follow without a space, and morphs where a word has `MSeg`
(universaldependencies.org/format.html).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from model.errors import CorpusError
from tasks.vocab.report.boundaries import Gold, lines_of
from tasks.vocab.report.measures import Sample, Spans

NUM_COLUMNS = 10
_NUMBER = re.compile(r"[0-9]+(?:[-.][0-9]+)?")  # of a word, several words, or an empty node


def conllu_gold(path: Path, max_bytes: int) -> Gold:
    """The text of a CoNLL-U file, plain or gzip, up to `max_bytes`, and where its words part.

    Empty nodes (`8.1`) are no part of the text. A multiword token whose words do not spell it is
    not judged.

    Raises:
        RequestError: there is no such file.
        CorpusError: a line is not CoNLL-U, or no sentence is there.
    """
    texts: list[str] = []
    spans: list[tuple[int, int]] = []
    positions: list[int] = []
    begin = num_bytes = 0
    for tokens in _sentences(path):
        text, words, cuts = _sentence_gold(tokens)
        num_bytes += len(text.encode())
        if texts and num_bytes > max_bytes:
            break
        texts.append(text)
        spans += [(begin + start, begin + end) for start, end in words]
        positions += [begin + cut for cut in cuts]
        begin += len(text) + 1
    if not texts:
        raise CorpusError(f"{path} holds no CoNLL-U sentence: give another file to vocab.conllu")
    table = np.array(spans, dtype=np.int64).reshape(-1, 2)
    gold = np.array(positions, dtype=np.int64)
    return Gold(Sample(texts), Spans(table[:, 0], table[:, 1]), gold)


@dataclass(frozen=True)
class _Token:
    """A surface token: its form, where it falls into parts, and whether a space follows."""

    form: str
    cuts: tuple[int, ...]
    is_judged: bool
    space_after: bool


def _sentence_gold(
    tokens: Sequence[_Token],
) -> tuple[str, list[tuple[int, int]], list[int]]:
    """The text, the spans of its judged words (between spaces), and the boundaries in them."""
    text = ""
    words: list[tuple[int, int]] = []
    positions: list[int] = []
    group: list[_Token] = []
    for number, token in enumerate(tokens):
        group.append(token)
        if not token.space_after and number + 1 < len(tokens):
            continue
        starts = list(accumulate((len(one.form) for one in group), initial=len(text)))
        text += "".join(one.form for one in group)
        if all(one.is_judged for one in group):
            words.append((starts[0], starts[-1]))
            cuts = {s + cut for s, one in zip(starts, group, strict=False) for cut in one.cuts}
            positions += sorted({*cuts, *starts[1:-1]})
        text += " " if token.space_after and number + 1 < len(tokens) else ""
        group = []
    return text, words, positions


def _sentences(path: Path) -> Iterator[list[_Token]]:
    """The surface tokens of each sentence."""
    rows: list[list[str]] = []
    for number, line in enumerate(lines_of(path, "vocab.conllu"), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if rows:
                yield list(_tokens(rows))
            rows = []
            continue
        columns = line.split("\t")
        if len(columns) != NUM_COLUMNS or not columns[1] or not _NUMBER.fullmatch(columns[0]):
            raise CorpusError(
                f"{path}, line {number}: not a number and {NUM_COLUMNS - 1} more columns, between "
                "tabs, as CoNLL-U has; give vocab.conllu a CoNLL-U file"
            )
        rows.append(columns)
    if rows:
        yield list(_tokens(rows))


def _tokens(rows: Sequence[Sequence[str]]) -> Iterator[_Token]:
    """A sentence's surface tokens: multiword tokens instead of the words they stand for."""
    forms = {row[0]: row[1] for row in rows}
    covered: set[str] = set()
    for row in rows:
        number, form, remarks = row[0], row[1], row[9].split("|")
        if number in covered or "." in number:
            continue
        cuts, is_judged = _morph_cuts(form, remarks), True
        if "-" in number:
            first, last = (int(part) for part in number.split("-"))
            inner = [one for one in forms if one.isdigit() and first <= int(one) <= last]
            covered.update(inner)
            parts = [forms[one] for one in inner]
            is_judged = "".join(parts) == form
            cuts = tuple(accumulate(len(part) for part in parts[:-1]))
        yield _Token(form, cuts, is_judged, "SpaceAfter=No" not in remarks)


def _morph_cuts(form: str, remarks: Iterable[str]) -> tuple[int, ...]:
    """Where `MSeg=un-happi-ness` cuts a word that its morphs spell."""
    for remark in remarks:
        name, _, value = remark.partition("=")
        morphs = value.split("-")
        if name == "MSeg" and all(morphs) and "".join(morphs) == form:
            return tuple(accumulate(len(morph) for morph in morphs[:-1]))
    return ()
