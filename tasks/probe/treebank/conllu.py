"""Reads sentences with their annotation from the lines of a CoNLL-U file.

Source: https://universaldependencies.org/format.html. Words only: empty nodes (`8.1`) are passed
over, multiword tokens (`1-2`) give their words a place in the text.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import PurePosixPath
from sys import intern
from typing import NamedTuple

NUM_COLUMNS = 10
SENTENCES_PER_BLOCK = 20
UNSPECIFIED = "_"

Span = tuple[int, int]

_NEW_DOCUMENT = re.compile(r"#\s*newdoc(?:\s+id\s*=\s*(.*\S))?\s*$")
_TEXT = re.compile(r"#\s*text\s*=\s*(.*)$")
_NUMBER = re.compile(r"([0-9]{1,9})(?:([-.])([0-9]{1,9}))?")
_ROW = re.compile(rb"[0-9]+(?:[-.][0-9]+)?\t(?:[^\t\r\n]+\t){8}[^\t\r\n]+\r?$")
_NAMES = (".conllu", ".conllup", ".conll")
_PACKED_NAMES = frozenset({".gz", ".bz2", ".xz", ".zst"})


class Fault(StrEnum):
    """Why a sentence is left out."""

    ENCODING = "it is not UTF-8"
    COLUMNS = "it is not ten columns between tabs"
    NUMBER = "its number is not the next word's"
    RANGE = "its range of words is not ahead"
    FORM = "it has no form"
    FEATURES = "its features are not Name=Value pairs"
    HEAD = "its head is no word of the sentence"
    NO_ROOT = "no word of the sentence is its root"
    TWO_ROOTS = "it is a second root"
    CYCLE = "following its heads leads back to it"


class Problem(NamedTuple):
    """A sentence that was left out: where, why, and the beginning of the line."""

    file: str
    line: int
    fault: Fault
    shown: str

    @property
    def message(self) -> str:
        """One line: where, what is wrong, what to do."""
        return f"{self.file}, line {self.line}: {self.fault} ({self.shown!r}): mend the line"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence's words, W of them, with what was annotated; ``_`` where nothing was.

    Attributes:
        text: forms and blanks as the file says.
        spans: where each word stands in `text`, in characters. The words of a multiword token
            that does not spell them (French *du* = *de* + *le*) all have its whole span.
        forms: the words.
        upos: their parts of speech.
        feats: their features as written, see `feature_pairs`.
        heads: the number of each word's head, from 1; 0 for the root. Empty where the sentence
            has no tree.
        deprel: their relations to their heads.
        document: the id of its document; unique in the file.
        is_block: whether the file names no document here, and so every 20 sentences are one.
        text_differs: whether the file's own ``# text`` says something else, blanks apart.
    """

    text: str
    spans: tuple[Span, ...]
    forms: tuple[str, ...]
    upos: tuple[str, ...]
    feats: tuple[str, ...]
    heads: tuple[int, ...]
    deprel: tuple[str, ...]
    document: str
    is_block: bool
    text_differs: bool


def is_conllu(name: str, head: bytes) -> bool:
    """Whether a file is CoNLL-U: by its first line that is no comment, else by its name.

    Args:
        name: its name; endings of compression do not count.
        head: the beginning of its content, in UTF-8.
    """
    for line in head.splitlines()[:1000]:
        if line.strip() and not line.startswith(b"#"):
            if _ROW.match(line):
                return True
            break
    path = PurePosixPath(name.lower())
    while path.suffix in _PACKED_NAMES:
        path = path.with_suffix("")
    return path.suffix in _NAMES


@lru_cache(maxsize=4096)
def feature_pairs(feats: str) -> tuple[tuple[str, str], ...]:
    """Features as pairs of name and value, such as ``("Number", "Sing")``.

    Raises:
        ValueError: they are written otherwise; the words of a `Sentence` are not.
    """
    if feats == UNSPECIFIED:
        return ()
    pairs = [part.partition("=") for part in feats.split("|")]
    if not all(name and value for name, _, value in pairs):
        raise ValueError(feats)
    return tuple((name, value) for name, _, value in pairs)


def read_sentences(file: str, lines: Iterable[bytes]) -> Iterator[Sentence | Problem]:
    """The sentences of a file in order; those that are malformed as problems.

    Args:
        file: its name, for problems and for the ids of documents without one.
        lines: in UTF-8, without their ends.
    """
    state = _Documents(file)
    comments: list[str] = []
    rows: list[_Row] = []
    problem: Problem | None = None
    for number, data in enumerate(chain(lines, [b""]), start=1):
        if not data.strip():
            if rows or problem:
                state.count_sentence(comments)
                yield problem or _sentence_or_problem(file, comments, rows, state)
            comments, rows, problem = [], [], None
        elif problem is None:
            try:
                _take(data, number, comments, rows)
            except _MalformedError as bad:
                problem = Problem(file, number, bad.fault, _beginning(data))


class _MalformedError(Exception):
    def __init__(self, fault: Fault, row: "_Row | None" = None) -> None:
        super().__init__(fault.value)
        self.fault, self.row = fault, row


class _Row(NamedTuple):
    """A line of a word, a multiword token (`last` above `first`) or an empty node.

    Attributes:
        line: its number in the file.
        first: its own number.
        last: the number of its last word; None for an empty node.
        columns: all ten.
    """

    line: int
    first: int
    last: int | None
    columns: list[str]

    @property
    def is_range(self) -> bool:
        return "-" in self.columns[0]

    @property
    def space_after(self) -> bool:
        return "SpaceAfter=No" not in self.columns[9].split("|")


@dataclass
class _Documents:
    """Which document the sentences of a file belong to."""

    file: str
    key: str | None = None
    num_documents: int = 0
    num_in_block: int = 0

    def count_sentence(self, comments: Iterable[str]) -> None:
        """Go on to a sentence with these comments."""
        for comment in comments:
            if found := _NEW_DOCUMENT.match(comment):
                self.num_documents += 1
                self.key = found[1] or f"#{self.num_documents}"
        if self.key is None:
            self.num_in_block += 1

    @property
    def current(self) -> str:
        """The id of the document that the sentence belongs to."""
        if self.key is not None:
            return self.key
        return f"block {(self.num_in_block - 1) // SENTENCES_PER_BLOCK + 1}"


def _take(data: bytes, number: int, comments: list[str], rows: list[_Row]) -> None:
    """Add a line to its sentence."""
    try:
        line = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _MalformedError(Fault.ENCODING) from None
    if line.startswith("#"):
        comments.append(line)
        return
    columns = line.split("\t")
    found = _NUMBER.fullmatch(columns[0])
    if len(columns) != NUM_COLUMNS or found is None:
        raise _MalformedError(Fault.COLUMNS)
    first, mark, last = int(found[1]), found[2], found[3]
    if not columns[1].strip():
        raise _MalformedError(Fault.FORM)
    rows.append(_Row(number, first, None if mark == "." else int(last or first), columns))


def _sentence_or_problem(
    file: str, comments: list[str], rows: list[_Row], state: _Documents
) -> Sentence | Problem:
    words = [row for row in rows if row.last is not None and not row.is_range]
    try:
        _check_numbers(rows)
        if not words:
            raise _MalformedError(Fault.NUMBER)
        text, spans = _place(rows)
        sentence = Sentence(
            text=text,
            spans=spans,
            forms=tuple(intern(word.columns[1]) for word in words),
            upos=tuple(intern(word.columns[3]) for word in words),
            feats=_features(words),
            heads=_heads(words),
            deprel=tuple(intern(word.columns[7]) for word in words),
            document=state.current,
            is_block=state.key is None,
            text_differs=_differs(text, comments),
        )
    except _MalformedError as bad:
        row = bad.row or rows[0]
        return Problem(file, row.line, bad.fault, "\t".join(row.columns)[:40])
    return sentence


def _beginning(data: bytes) -> str:
    return data[:40].decode("utf-8", "backslashreplace")


def _check_numbers(rows: list[_Row]) -> None:
    """Words count from 1; a range stands before its first word and its words are all there."""
    known, covered = 0, 0
    for row in rows:
        if row.last is None:
            continue
        if row.is_range:
            if row.first != known + 1 or row.last < row.first or known < covered:
                raise _MalformedError(Fault.RANGE, row)
            covered = row.last
        elif row.first != known + 1:
            raise _MalformedError(Fault.NUMBER, row)
        else:
            known += 1
    if known < covered:
        raise _MalformedError(Fault.RANGE, next(row for row in rows if row.last == covered))


def _place(rows: list[_Row]) -> tuple[str, tuple[Span, ...]]:
    """The text of a sentence, and where its words stand in it."""
    text, blank = "", ""
    spans: list[Span] = []
    surface = [row for row in rows if row.last is not None]
    at = 0
    while at < len(surface):
        row = surface[at]
        assert row.last is not None
        inner = surface[at + 1 : at + 2 + row.last - row.first] if row.is_range else [row]
        form = row.columns[1]
        spans += _inner_spans(form, [word.columns[1] for word in inner], len(text + blank))
        text += blank + form
        blank = " " if row.space_after else ""
        at += len(inner) + row.is_range
    return text, tuple(spans)


def _inner_spans(form: str, words: list[str], start: int) -> list[Span]:
    """Spans of words inside what is written for them; the whole of it where it spells others."""
    ends = [start]
    for word in words:
        ends.append(ends[-1] + len(word))
    if len(form) == ends[-1] - start and form.lower() == "".join(words).lower():
        return list(pairwise(ends))
    return [(start, start + len(form))] * len(words)


def _features(words: list[_Row]) -> tuple[str, ...]:
    for word in words:
        try:
            feature_pairs(word.columns[5])
        except ValueError:
            raise _MalformedError(Fault.FEATURES, word) from None
    return tuple(intern(word.columns[5]) for word in words)


def _heads(words: list[_Row]) -> tuple[int, ...]:
    """The heads of a tree; nothing where none of them is specified."""
    if all(word.columns[6] == UNSPECIFIED for word in words):
        return ()
    heads, root = [], None
    for number, word in enumerate(words, start=1):
        written = word.columns[6]
        is_number = written.isascii() and written.isdigit() and len(written) < 10
        head = int(written) if is_number else -1
        if not 0 <= head <= len(words) or head == number:
            raise _MalformedError(Fault.HEAD, word)
        if head == 0 and root is not None:
            raise _MalformedError(Fault.TWO_ROOTS, word)
        root = word if head == 0 else root
        heads.append(head)
    if root is None:
        raise _MalformedError(Fault.NO_ROOT)
    _check_tree(heads, words)
    return tuple(heads)


def _check_tree(heads: list[int], words: list[_Row]) -> None:
    """Every word reaches the root. Cost: each word is passed once."""
    reaches = [True] + [False] * len(heads)
    for number in range(1, len(heads) + 1):
        path: list[int] = []
        at = number
        while not reaches[at]:
            path.append(at)
            if len(path) > len(heads):
                raise _MalformedError(Fault.CYCLE, words[number - 1])
            at = heads[at - 1]
        for passed in path:
            reaches[passed] = True


def _differs(text: str, comments: list[str]) -> bool:
    """Whether the sentence's own text says something else, blanks apart."""
    for comment in comments:
        if found := _TEXT.match(comment):
            return found[1].split() != text.split()
    return False
