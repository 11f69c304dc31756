"""Turns the rounds of the pretraining benchmark into rates, ratios and a table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.benchmarks.children import Spent

OURS, DEFAULT, TUNED = "corpusmith", "run_mlm default", "run_mlm tuned"
GATE_NATS = 1e-3
MB = 1e6

Clock = Literal["wall_s", "cpu_s"]

NOTES = [
    "real tokens: places of a row that are not padding, [CLS] and [SEP] among them; text: the "
    "share of all places that holds text",
    "tokens/s and tokens/CPU s: the median over updates in each round, then over rounds; the "
    "whole loop from update to update, without evaluations and checkpoints",
    "x: how many times as fast as that peer, round by round, then the median",
    "gate: the same weights find the same loss on the same masked pieces, fp32, without autocast",
]


@dataclass
class Row:
    """All rounds of one system.

    Attributes:
        system: its name in the table.
        gate_loss: in nats, of the weights that all begin from, on the pieces that all see.
        rounds: what the processes reported, in order.
    """

    system: str
    gate_loss: float
    rounds: list[Spent] = field(default_factory=list)

    @property
    def reports(self) -> list[dict[str, Any]]:
        """What the processes said."""
        return [spent.report for spent in self.rounds]

    def rates(self, clock: Clock) -> list[float]:
        """Real tokens a second in each round: the median over its updates."""
        return [round_rate(report, clock) for report in self.reports]

    def rate(self, clock: Clock) -> float:
        """Real tokens a second: the median over rounds."""
        return statistics.median(self.rates(clock))

    def step_s(self, clock: Clock) -> float:
        """Seconds an update: the median over all of all rounds."""
        return float(statistics.median(s for report in self.reports for s in report[clock]))

    @property
    def num_parameters(self) -> int:
        """Weights of the model."""
        return int(self.reports[-1]["num_parameters"])

    @property
    def packing(self) -> dict[str, Any]:
        """How the system's rows are filled."""
        packing: dict[str, Any] = self.reports[-1]["packing"]
        return packing

    def as_json(self, rows: Sequence["Row"]) -> dict[str, Any]:
        """All numbers, those of each round too."""
        return {
            "system": self.system,
            "gate_loss": self.gate_loss,
            "num_parameters": self.num_parameters,
            "packing": self.packing,
            "settings": self.reports[-1]["settings"],
            "versions": self.reports[-1]["versions"],
            "num_threads": self.reports[-1]["num_threads"],
            "tokens_per_wall_s": self.rate("wall_s"),
            "tokens_per_cpu_s": self.rate("cpu_s"),
            "tokens_per_wall_s_by_round": self.rates("wall_s"),
            "tokens_per_cpu_s_by_round": self.rates("cpu_s"),
            "step_wall_s": self.step_s("wall_s"),
            "step_cpu_s": self.step_s("cpu_s"),
            "tokens_per_step": statistics.mean(self.reports[-1]["num_tokens"]),
            "peak_bytes": self.peak_bytes,
            "times": {
                peer.system: {
                    clock: {
                        "median": times(self, peer, clock),
                        "by_round": ratios(self, peer, clock),
                    }
                    for clock in ("wall_s", "cpu_s")
                }
                for peer in peers_of(self, rows)
            },
            "updates_by_round": [
                {name: report[name] for name in ("wall_s", "cpu_s", "num_tokens")}
                for report in self.reports
            ],
        }

    @property
    def peak_bytes(self) -> int:
        """Resident memory of the largest process of all rounds."""
        return max(spent.peak_process_bytes for spent in self.rounds)


def round_rate(report: dict[str, Any], clock: Clock) -> float:
    """Real tokens a second in the updates of one process: their median."""
    pairs = zip(report["num_tokens"], report[clock], strict=True)
    return float(statistics.median(num_tokens / seconds for num_tokens, seconds in pairs))


def ratios(row: Row, peer: Row, clock: Clock) -> list[float]:
    """How many times as fast as the peer, in each round."""
    pairs = zip(row.rates(clock), peer.rates(clock), strict=True)
    return [own / other for own, other in pairs]


def times(row: Row, peer: Row, clock: Clock) -> float:
    """The median of the ratios."""
    return statistics.median(ratios(row, peer, clock))


def peers_of(row: Row, rows: Sequence[Row]) -> list[Row]:
    """The peers that a system's speed is told in; none for the peers themselves."""
    is_ours = row.system.startswith(OURS)
    return [each for each in rows if is_ours and not each.system.startswith(OURS)]


def gate_faults(rows: Sequence[Row]) -> list[str]:
    """What makes the comparison void: another loss of the same weights, or another model."""
    faults = []
    for row in rows:
        apart = abs(row.gate_loss - rows[0].gate_loss)
        if not apart <= GATE_NATS:
            faults.append(
                f"{row.system} finds a loss of {row.gate_loss:.6f} at step 0 where "
                f"{rows[0].system} finds {rows[0].gate_loss:.6f}"
            )
        if row.rounds and row.num_parameters != rows[0].num_parameters:
            faults.append(
                f"{row.system} has {row.num_parameters:,} parameters and {rows[0].system} "
                f"{rows[0].num_parameters:,}"
            )
    return faults


def table(rows: Sequence[Row]) -> list[str]:
    """The lines to print."""
    width = 2 + max(len(row.system) for row in rows)
    lines = [
        f"{'system':{width}}{'rows':>5}{'tokens/s':>10}{'(from-to)':>16}{'tokens/CPU s':>14}"
        f"{'(from-to)':>16}{'step s':>8}{'CPU s':>8}{'peak MB':>9}{'fill':>8}{'text':>7}"
    ]
    for row in rows:
        packing, settings = row.packing, row.reports[-1]["settings"]
        num_rows = settings.get("rows") or settings["rows_per_step"]
        lines.append(
            f"{row.system:{width}}{num_rows:5}"
            f"{row.rate('wall_s'):10,.0f}{spread(row, 'wall_s'):>16}"
            f"{row.rate('cpu_s'):14,.0f}{spread(row, 'cpu_s'):>16}{row.step_s('wall_s'):8.2f}"
            f"{row.step_s('cpu_s'):8.2f}{row.peak_bytes / MB:9,.0f}"
            f"{packing['fill_frac']:8.2%}{packing['text_frac']:7.1%}"
        )
    return [*lines, *ratio_lines(rows), *gate_lines(rows), *NOTES]


def ratio_lines(rows: Sequence[Row]) -> list[str]:
    """How many times as fast as each peer."""
    return [
        f"{row.system}: x {peer.system}: {times(row, peer, 'wall_s'):.2f} by the clock "
        f"({listed(ratios(row, peer, 'wall_s'))}), {times(row, peer, 'cpu_s'):.2f} in CPU time "
        f"({listed(ratios(row, peer, 'cpu_s'))})"
        for row in rows
        for peer in peers_of(row, rows)
    ]


def gate_lines(rows: Sequence[Row]) -> list[str]:
    """Whether the comparison holds."""
    losses = [row.gate_loss for row in rows]
    found = gate_faults(rows) or [
        f"passed: {min(losses):.6f} to {max(losses):.6f} nats at step 0, "
        f"{rows[0].num_parameters:,} parameters in all"
    ]
    return [f"gate: {line}" for line in found]


def spread(row: Row, clock: Clock) -> str:
    """The slowest and the fastest round."""
    return f"({min(row.rates(clock)):,.0f}-{max(row.rates(clock)):,.0f})"


def listed(values: Sequence[float]) -> str:
    """Ratios side by side."""
    return " ".join(f"{value:.2f}" for value in values)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All numbers of all rows."""
    return [row.as_json(rows) for row in rows]
