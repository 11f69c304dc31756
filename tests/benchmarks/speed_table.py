"""Turns the rounds of a speed benchmark into rates and a table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.children import Spent

OURS, PEER, PEER_AT_BLANKS, FLOOR = "corpusmith", "datatrove", "datatrove, words at blanks", "floor"
NOISE_FRAC = 0.2


@dataclass(frozen=True)
class Corpus:
    """A file of JSON lines.

    Attributes:
        num_megabytes: decompressed, in 10^6 bytes.
        num_distinct: how many documents repeat no other, where that is known.
    """

    name: str
    path: Path
    num_documents: int
    num_megabytes: float
    num_distinct: int | None = None


@dataclass
class Row:
    """All rounds of one system on one corpus."""

    system: str
    corpus: Corpus
    startup: list[float] = field(default_factory=list)
    rounds: list[Spent] = field(default_factory=list)

    @property
    def cpu_s(self) -> float:
        """The median over rounds."""
        return statistics.median(spent.cpu_s for spent in self.rounds)

    @property
    def startup_s(self) -> float:
        """The median over rounds of a run on next to nothing."""
        return statistics.median(self.startup)

    @property
    def rate(self) -> float:
        """Documents per CPU second, start-up included."""
        return self.corpus.num_documents / self.cpu_s

    @property
    def steady_rate(self) -> float | None:
        """Documents per CPU second, start-up taken off; none where so little is left that it
        would say more about noise."""
        steady_s = self.cpu_s - self.startup_s
        is_noise = steady_s < NOISE_FRAC * self.startup_s
        return None if is_noise else self.corpus.num_documents / steady_s

    @property
    def num_kept(self) -> int | None:
        """Documents that were written, as the last round has it."""
        kept = self.rounds[-1].report.get("num_kept")
        return None if kept is None else int(kept)

    def as_json(self, peer: "Row | None") -> dict[str, Any]:
        """All numbers, those of each round too."""
        return {
            "system": self.system,
            "corpus": self.corpus.name,
            "num_documents": self.corpus.num_documents,
            "num_megabytes": self.corpus.num_megabytes,
            "num_distinct": self.corpus.num_distinct,
            "num_kept": self.num_kept,
            "cpu_s": self.cpu_s,
            "startup_cpu_s": self.startup_s,
            "documents_per_cpu_s": self.rate,
            "documents_per_cpu_s_without_startup": self.steady_rate,
            "ratio": peer and self.rate / peer.rate,
            "ratio_without_startup": steady_ratio(self, peer),
            "cpu_s_by_round": [spent.cpu_s for spent in self.rounds],
            "startup_cpu_s_by_round": self.startup,
            "wall_s_by_round": [spent.wall_s for spent in self.rounds],
            "peak_process_bytes": max(spent.peak_process_bytes for spent in self.rounds),
            "versions": self.rounds[-1].report.get("versions"),
        }


def table(rows: Sequence[Row]) -> list[str]:
    """The lines to print."""
    lines = [
        f"{'system':27}{'corpus':11}{'documents':>9}{'kept':>8}{'MB':>8}{'rounds':>7}{'CPU s':>9}"
        f"{'(from-to)':>17}{'docs/CPU s':>11}{'ratio':>8}{'start-up':>9}{'ratio without':>14}",
    ]
    for row in rows:
        peer = peer_of(row, rows)
        costs = [spent.cpu_s for spent in row.rounds]
        spread = f"({min(costs):.2f}-{max(costs):.2f})"
        ratio = f"{row.rate / peer.rate:.1f}" if peer else ""
        steady = steady_ratio(row, peer)
        without = f"{steady:.1f}" if steady else ""
        kept = "" if row.num_kept is None else row.num_kept
        lines.append(
            f"{row.system:27}{row.corpus.name:11}{row.corpus.num_documents:9}{kept:>8}"
            f"{row.corpus.num_megabytes:8.1f}{len(row.rounds):7}{row.cpu_s:9.2f}{spread:>17}"
            f"{row.rate:11.1f}{ratio:>8}{row.startup_s:9.2f}{without:>14}"
        )
    return lines + notes(rows)


def notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers need to be understood."""
    lines = [
        "ratio: documents per CPU s over datatrove's; ratio without: start-up taken off both",
    ]
    if len({len(row.rounds) for row in rows}) > 1:
        lines.append("the peer ran fewer rounds on the generated text: see column rounds")
    for corpus in {row.corpus.name: row.corpus for row in rows}.values():
        if corpus.num_distinct:
            lines.append(f"{corpus.name}: {corpus.num_distinct} documents repeat no other")
    for row in rows:
        peer = peer_of(row, rows)
        if row.system == OURS and peer and row.num_kept and peer.num_kept:
            apart = row.num_kept / peer.num_kept - 1
            lines.append(f"{row.corpus.name}: {OURS} keeps {apart:+.2%} beside {PEER}")
    return lines


def steady_ratio(row: Row, peer: Row | None) -> float | None:
    """The ratio with start-up taken off both, where both have enough left."""
    if peer is None or row.steady_rate is None or peer.steady_rate is None:
        return None
    return row.steady_rate / peer.steady_rate


def peer_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """What the peer did on the same corpus."""
    found = (each for each in rows if each.system == PEER and each.corpus is row.corpus)
    return next(found, None)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All numbers of all rows."""
    return [row.as_json(peer_of(row, rows)) for row in rows]
