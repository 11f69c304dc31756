"""Where words fall into parts, from a list of affixes or a treebank, and how tokens agree.

A list of affixes holds one on a line: `un-` for a prefix, `-ness` for a suffix, `#` before a
remark. A CoNLL-U file says where its own text falls into words: multiword tokens (`don't` into
`do` and `n't`), words that follow without a space, and morphs where a word has `MSeg`
(universaldependencies.org/format.html).
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import regex

from model.errors import CorpusError, RequestError
from tasks.stage import Metrics
from tasks.vocab.report.measures import Int64s, Reading, Sample, Spans

MIN_STEM_LETTERS = 3
NUM_COLUMNS = 10
_GZIP_MAGIC = b"\x1f\x8b"
LETTERS = regex.compile(r"[\p{L}\p{M}]+")


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


@dataclass(frozen=True)
class Affixes:
    """Prefixes and suffixes, without their hyphens, longest first."""

    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]

    def cuts(self, word: str) -> list[int]:
        """After the longest prefix and before the longest suffix that leave three letters."""
        lower = word.lower()
        if len(lower) != len(word):  # such as İ; its positions would be off
            return []
        last = len(lower) - MIN_STEM_LETTERS
        begin = next((len(p) for p in self.prefixes if len(p) <= last and lower.startswith(p)), 0)
        room = last - begin
        length = next((len(s) for s in self.suffixes if len(s) <= room and lower.endswith(s)), 0)
        return [*([begin] if begin else []), *([len(word) - length] if length else [])]


def read_affixes(path: Path) -> Affixes:
    """Read a list of affixes.

    Raises:
        RequestError: there is no such file.
        CorpusError: a line is no affix, or none is there.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for number, line in enumerate(_lines(path, "vocab.affixes"), 1):
        affix = line.partition("#")[0].strip().lower()
        text = affix.strip("-")
        if not affix:
            continue
        if not text or affix.startswith("-") == affix.endswith("-"):
            raise CorpusError(
                f"{path}, line {number}: {affix!r} is no affix; write prefixes as un- and "
                "suffixes as -ness, one on a line"
            )
        found[affix.endswith("-")].add(text)
    if not found[True] and not found[False]:
        raise CorpusError(f"{path} lists no affix; write prefixes as un- and suffixes as -ness")
    by_length = {
        is_prefix: tuple(sorted(texts, key=lambda text: (-len(text), text)))
        for is_prefix, texts in found.items()
    }
    return Affixes(prefixes=by_length[True], suffixes=by_length[False])


def affix_gold(affixes: Affixes, sample: Sample) -> Gold:
    """The sample's runs of letters that carry an affix; others say nothing either way."""
    begins, ends, positions = [], [], []
    for match in LETTERS.finditer(sample.joined):
        if cuts := affixes.cuts(match[0]):
            begins.append(match.start())
            ends.append(match.end())
            positions += [match.start() + cut for cut in cuts]
    words = Spans(np.array(begins, dtype=np.int64), np.array(ends, dtype=np.int64))
    return Gold(sample, words, np.array(positions, dtype=np.int64))


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
    for number, line in enumerate(_lines(path, "vocab.conllu"), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if rows:
                yield list(_tokens(rows))
            rows = []
            continue
        columns = line.split("\t")
        if len(columns) != NUM_COLUMNS or not columns[1]:
            raise CorpusError(
                f"{path}, line {number}: {len(columns)} columns where CoNLL-U has {NUM_COLUMNS}, "
                "separated by tabs; give vocab.conllu a CoNLL-U file"
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
            inner = [str(one) for one in range(first, last + 1)]
            covered.update(inner)
            parts = [forms.get(one, "") for one in inner]
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


def _lines(path: Path, setting: str) -> Iterator[str]:
    """Lines of a text file in UTF-8, plain or gzip."""
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP_MAGIC
        read = gzip.open if is_gzip else open
        with read(path, "rt", encoding="utf-8-sig") as lines:
            yield from (line.rstrip("\r\n") for line in lines)
    except OSError as error:
        raise RequestError(f"{setting}: {path} cannot be read ({error})") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{setting}: {path} is not UTF-8 text") from None
