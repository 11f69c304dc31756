"""Loss curves of pretraining runs: when a level is reached, and what that makes of two systems."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Clock = Literal["wall", "cpu"]

# Settings that change what is learned, or what happens beside it, but not what a token costs.
FREE_SETTINGS = frozenset(
    """seed learning_rate muon_learning_rate weight_decay grad_clip warmup_frac decay_frac schedule
    max_steps max_minutes initial_rows_per_step ramp_frac validations validation_rows
    num_checkpoints checkpoint_minutes max_rollbacks max_restarts device""".split()
)


@dataclass(frozen=True)
class Point:
    """One validation.

    Attributes:
        step: updates so far.
        num_tokens: real tokens learned from so far.
        seconds: training time so far.
        bits_per_byte: of masked text.
    """

    step: int
    num_tokens: int
    seconds: float
    bits_per_byte: float


@dataclass(frozen=True)
class Curve:
    """One run.

    Attributes:
        system: its name in the table.
        seed: of everything random.
        points: its validations in order, at least one.
    """

    system: str
    seed: int
    points: tuple[Point, ...]

    @property
    def last(self) -> Point:
        """The end of the run."""
        return self.points[-1]

    def first_at(self, bits_per_byte: float) -> Point | None:
        """The first validation that is no worse; None = the run never came there."""
        return next((point for point in self.points if point.bits_per_byte <= bits_per_byte), None)


@dataclass(frozen=True)
class Reached:
    """One of our runs beside one peer's of the same seed."""

    peer: Curve
    ours: Curve

    @property
    def point(self) -> Point | None:
        """Where our run is first as good as the peer is at its end."""
        return self.ours.first_at(self.peer.last.bits_per_byte)

    @property
    def time_frac(self) -> float | None:
        """Our time until then over the peer's whole time."""
        return self.point.seconds / self.peer.last.seconds if self.point else None

    @property
    def tokens_frac(self) -> float | None:
        """The same of tokens."""
        return self.point.num_tokens / self.peer.last.num_tokens if self.point else None

    def as_json(self) -> dict[str, Any]:
        """All that the table shows."""
        return {
            "peer": self.peer.system,
            "seed": self.peer.seed,
            "ours": self.ours.system,
            "peer_end": vars(self.peer.last),
            "ours_end": vars(self.ours.last),
            "ours_reaches": self.point and vars(self.point),
            "time_frac": self.time_frac,
            "tokens_frac": self.tokens_frac,
        }


def curve_of(
    system: str, seed: int, report: Mapping[str, Any], clock: Clock, tokens_per_s: float | None
) -> Curve:
    """The curve that a process reported.

    Args:
        system: its name.
        seed: of the run.
        report: what pretrain_ours.py or pretrain_peer.py printed.
        clock: whose seconds to take.
        tokens_per_s: makes tokens into seconds, for machines whose clock says little; None = take
            the seconds that were measured in the run itself.
    """
    points = [
        Point(
            int(each["step"]),
            int(each["num_tokens"]),
            each["num_tokens"] / tokens_per_s if tokens_per_s else each[f"train_{clock}_s"],
            float(each["bits_per_byte"]),
        )
        for each in report["validations"]
    ]
    return Curve(system, seed, tuple(points))


def measured_row(speed: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of pretrain_speed's JSON that was measured with what these settings cost.

    Raises:
        SystemExit: there is none; with what is missing.
    """
    wanted = costly(settings)
    differing = {}
    for row in speed["rows"]:
        found = costly(row["settings"])
        names = {name for name in found.keys() | wanted if found.get(name) != wanted.get(name)}
        if not names:
            return dict(row)
        differing[row["system"]] = names
    nearest = min(differing, key=lambda system: len(differing[system]))
    asked = ", ".join(f"{name} = {wanted.get(name)}" for name in sorted(differing[nearest]))
    raise SystemExit(
        f"the speed was not measured with {asked} (the nearest row is {nearest}): add such a row "
        "with pretrain_speed --ours or --systems"
    )


def costly(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that change what a token costs."""
    return {name: value for name, value in settings.items() if name not in FREE_SETTINGS}


def compared(peers: Sequence[Curve], ours: Sequence[Curve]) -> list[Reached]:
    """Each of our runs beside each peer's of its seed."""
    return [Reached(peer, own) for peer in peers for own in ours if own.seed == peer.seed]


def best_of(found: Sequence[Reached]) -> list[Reached]:
    """For each peer and seed our run that takes the least time to come where the peer ended; the
    best at its end where none comes there."""
    groups: dict[tuple[str, int], list[Reached]] = {}
    for each in found:
        groups.setdefault((each.peer.system, each.peer.seed), []).append(each)
    return [
        min(
            group,
            key=lambda each: (
                each.time_frac is None,
                each.time_frac or 0.0,
                each.ours.last.bits_per_byte,
            ),
        )
        for group in groups.values()
    ]


def table(found: Sequence[Reached]) -> list[str]:
    """The lines to print: every pair, then what it comes to for each peer."""
    width = 2 + max(len(each.peer.system) for each in found)
    lines = [
        f"{'peer':{width}}{'seed':>5}{'minutes':>9}{'Mtokens':>9}{'bits/byte':>11}  {'ours':24}"
        f"{'minutes':>9}{'bits/byte':>11}{'reached, min':>14}{'of time':>9}{'of tokens':>11}"
    ]
    for each in found:
        peer, ours, point = each.peer.last, each.ours.last, each.point
        reached = f"{point.seconds / 60:.1f}" if point else "never"
        lines.append(
            f"{each.peer.system:{width}}{each.peer.seed:5}{peer.seconds / 60:9.1f}"
            f"{peer.num_tokens / 1e6:9.2f}{peer.bits_per_byte:11.4f}  {each.ours.system:24}"
            f"{ours.seconds / 60:9.1f}{ours.bits_per_byte:11.4f}{reached:>14}"
            f"{shown(each.time_frac):>9}{shown(each.tokens_frac):>11}"
        )
    return lines + summary(found)


def summary(found: Sequence[Reached]) -> list[str]:
    """For each peer: medians over seeds of our best runs, and how many seeds lost."""
    best = best_of(found)
    lines = []
    for peer in dict.fromkeys(each.peer.system for each in best):
        seeds = [each for each in best if each.peer.system == peer]
        reached = [each for each in seeds if each.time_frac is not None]
        lost = sum(each.time_frac is None or each.time_frac >= 1 for each in seeds)
        line = f"{peer}: {len(seeds)} seeds, {lost} of them lost"
        if reached:
            time_frac = statistics.median(each.time_frac or 0.0 for each in reached)
            tokens_frac = statistics.median(each.tokens_frac or 0.0 for each in reached)
            line += f"; where it ended after {time_frac:.2f} of its time, {tokens_frac:.2f} of "
            line += "its tokens (medians of the best run of each seed)"
        lines.append(line)
    return lines


def shown(value: float | None) -> str:
    """A share in the table, or nothing."""
    return "" if value is None else f"{value:.2f}"
