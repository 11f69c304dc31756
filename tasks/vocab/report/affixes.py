"""Right boundaries from a list of affixes.

The list holds one on a line: `un-` for a prefix, `-ness` for a suffix, `#` before a remark.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.errors import CorpusError
from tasks.vocab.report.boundaries import LETTERS, Gold, lines_of
from tasks.vocab.report.measures import Sample, Spans

MIN_STEM_LETTERS = 3


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
    for number, line in enumerate(lines_of(path, "vocab.affixes"), 1):
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
