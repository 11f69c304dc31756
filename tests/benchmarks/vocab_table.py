"""Turns the rounds of the vocabulary benchmark into seconds, ratios and a table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.children import Spent

OURS, LIBRARY, RIVAL, FLOOR = "corpusmith", "tokenizers", "gigabpe", "read"
MB = 1e6

NOTES = [
    "CPU s: user and system time of the call that learns, all threads, start-up and reading apart; "
    "medians over rounds",
    "count: the same call without merges, so with what a learner prepares; learn: total - count, "
    "round by round; own phases: as corpusmith itself measures them in the run with merges",
    "x tokenizers: how many times as fast as tokenizers, in total and in learning; "
    "of gigabpe: its total is 1",
    "peak: resident memory of the process, with the documents it holds (before: ahead of the call)",
    "patterns: GPT-2's for all but sentencepiece, which has its own rules (identity normalization)",
    "whole documents are cut by corpusmith, tokenizers and rustbpe; lines by corpusmith (lines), "
    "gigabpe (which takes only a file) and sentencepiece",
    "read: the plain read of gigabpe's file, which is inside its call and in nobody else's",
]


@dataclass
class Row:
    """All rounds of one system on one corpus with one number of threads.

    Attributes:
        totals: runs with merges.
        counts: runs without, as many.
    """

    system: str
    num_megabytes: float
    num_threads: int
    totals: list[Spent] = field(default_factory=list)
    counts: list[Spent] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        """CPU seconds with merges."""
        return statistics.median(cpu_s(self.totals))

    @property
    def count_s(self) -> float:
        """CPU seconds without merges."""
        return statistics.median(cpu_s(self.counts))

    @property
    def learn_s(self) -> float:
        """CPU seconds that the merges add, by rounds."""
        pairs = zip(cpu_s(self.totals), cpu_s(self.counts), strict=True)
        return statistics.median(total - count for total, count in pairs)

    @property
    def wall_s(self) -> float:
        """Seconds by the clock, with merges."""
        return statistics.median(float(spent.report["wall_s"]) for spent in self.totals)

    @property
    def peak_bytes(self) -> int:
        """The largest of all runs with merges."""
        return max(spent.peak_process_bytes for spent in self.totals)

    @property
    def bytes_before(self) -> int:
        """The largest a process had been before it began to learn."""
        return max(int(spent.report["bytes_before"]) for spent in self.totals)

    @property
    def own_phases(self) -> tuple[float, float] | None:
        """CPU seconds of counting and of learning as the system itself measures them."""
        if "count_cpu_s" not in self.totals[-1].report:
            return None
        names = ("count_cpu_s", "learn_cpu_s")
        count, learn = (
            statistics.median(spent.report[name] for spent in self.totals) for name in names
        )
        return count, learn

    def as_json(self, rows: Sequence["Row"]) -> dict[str, Any]:
        """All numbers, those of each round too."""
        return {
            "system": self.system,
            "version": self.totals[-1].report.get("version"),
            "num_megabytes": self.num_megabytes,
            "num_threads": self.num_threads,
            "count_cpu_s": self.count_s,
            "learn_cpu_s": self.learn_s,
            "total_cpu_s": self.total_s,
            "own_phases_cpu_s": self.own_phases,
            "wall_s": self.wall_s,
            "peak_bytes": self.peak_bytes,
            "bytes_before": self.bytes_before,
            "times_tokenizers": times_library(self, rows),
            "times_tokenizers_learning": times_library(self, rows, "learn_s"),
            "of_gigabpe": of_rival(self, rows),
            "total_cpu_s_by_round": cpu_s(self.totals),
            "count_cpu_s_by_round": cpu_s(self.counts),
            "wall_s_by_round": [spent.report["wall_s"] for spent in self.totals],
            "last_report": self.totals[-1].report,
        }


def cpu_s(runs: Sequence[Spent]) -> list[float]:
    """CPU seconds of the measured call in each run."""
    return [float(spent.report["cpu_s"]) for spent in runs]


def peer_of(row: Row, rows: Sequence[Row], system: str) -> Row | None:
    """What another system did on the same corpus with as many threads."""
    place = (row.num_megabytes, row.num_threads)
    found = (
        each
        for each in rows
        if each.system == system and (each.num_megabytes, each.num_threads) == place
    )
    return next(found, None)


def times_library(row: Row, rows: Sequence[Row], phase: str = "total_s") -> float | None:
    """How many times as fast as Hugging Face's trainer; none where that says nothing."""
    library = peer_of(row, rows, LIBRARY)
    if library is None or row.system == FLOOR or getattr(row, phase) <= 0:
        return None
    return float(getattr(library, phase) / getattr(row, phase))


def of_rival(row: Row, rows: Sequence[Row]) -> float | None:
    """The total over gigabpe's: below 1 is faster."""
    rival = peer_of(row, rows, RIVAL)
    return None if rival is None or row.system == FLOOR else row.total_s / rival.total_s


def table(rows: Sequence[Row]) -> list[str]:
    """The lines to print."""
    lines = [
        f"{'system':20}{'MB':>5}{'threads':>8}{'merges':>8}{'count':>8}{'learn':>8}{'total':>8}"
        f"{'(from-to)':>16}{'own phases':>14}{'wall s':>8}{'x tokenizers':>13}{'learn':>7}"
        f"{'of gigabpe':>11}{'peak MB':>9}{'before':>8}"
    ]
    for row in rows:
        spread = f"({min(cpu_s(row.totals)):.2f}-{max(cpu_s(row.totals)):.2f})"
        own = "{:.2f} + {:.2f}".format(*row.own_phases) if row.own_phases else ""
        ratios = (times_library(row, rows), times_library(row, rows, "learn_s"))
        lines.append(
            f"{row.system:20}{row.num_megabytes:5.0f}{row.num_threads:8}"
            f"{row.totals[-1].report['num_merges']:8}{row.count_s:8.2f}{row.learn_s:8.2f}"
            f"{row.total_s:8.2f}{spread:>16}{own:>14}{row.wall_s:8.2f}"
            f"{shown(ratios[0]):>13}{shown(ratios[1]):>7}{shown(of_rival(row, rows)):>11}"
            f"{row.peak_bytes / MB:9.0f}{row.bytes_before / MB:8.0f}"
        )
    return lines + NOTES


def shown(ratio: float | None) -> str:
    """A ratio in the table, or nothing."""
    return "" if ratio is None else f"{ratio:.2f}"


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All numbers of all rows."""
    return [row.as_json(rows) for row in rows]
