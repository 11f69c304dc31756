"""Loss against time is read off curves that are kept, and only measured costs make time."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.pretrain_curves import (
    Curve,
    Point,
    best_of,
    compared,
    curve_of,
    measured_row,
    table,
)
from tests.benchmarks.pretrain_loss import draw, kept, key_of, settings_of_peer

REPORT: dict[str, Any] = {
    "validations": [
        {"step": 5, "num_tokens": 500, "train_wall_s": 9.0, "train_cpu_s": 18.0,
         "bits_per_byte": 3.0},
        {"step": 9, "num_tokens": 900, "train_wall_s": 20.0, "train_cpu_s": 33.0,
         "bits_per_byte": 2.5},
    ]
}  # fmt: skip


def curve(system: str, seed: int, *levels: float, seconds: float = 60.0) -> Curve:
    points = [Point(n, 1000 * n, seconds * n, level) for n, level in enumerate(levels, start=1)]
    return Curve(system, seed, tuple(points))


def test_a_level_is_reached_at_the_first_validation_that_is_no_worse() -> None:
    falling = curve("ours", 0, 3.0, 2.5, 2.6, 2.0)
    assert falling.first_at(2.5) == falling.points[1]
    assert falling.first_at(2.55) == falling.points[1]
    assert falling.first_at(1.9) is None


def test_seconds_are_measured_or_come_from_a_rate() -> None:
    wall = curve_of("x", 3, REPORT, "wall", None)
    assert wall.seed == 3
    assert [point.seconds for point in wall.points] == [9.0, 20.0]
    assert curve_of("x", 3, REPORT, "cpu", None).last.seconds == 33.0
    assert [each.seconds for each in curve_of("x", 3, REPORT, "wall", 100.0).points] == [5.0, 9.0]


def test_runs_are_compared_within_their_seed() -> None:
    peers = [curve("peer", 0, 3.0, 2.8), curve("peer", 1, 3.0, 2.9)]
    ours = [curve("short", 0, 2.7, seconds=90.0), curve("long", 0, 2.75, 2.6, seconds=30.0)]
    found = compared(peers, ours)
    assert [(each.ours.system, each.time_frac) for each in found] == [
        ("short", 0.75),
        ("long", 0.25),
    ]
    assert [each.tokens_frac for each in found] == [0.5, 0.5]
    assert [each.ours.system for each in best_of(found)] == ["long"]


def test_the_table_counts_the_seeds_that_lost() -> None:
    peers = [curve("peer", seed, 3.0, 2.8) for seed in (0, 1, 2)]
    ours = [
        curve("ours", 0, 2.7, 2.6),
        curve("ours", 1, 2.95, 2.9),
        curve("ours", 2, 2.9, 2.85, 2.7),
    ]
    found = compared(peers, ours)
    lines = table(found)
    assert len(lines) == 1 + 3 + 1
    assert "never" in lines[2]
    assert lines[-1].startswith("peer: 3 seeds, 2 of them lost; where it ended after 1.00 of")
    json.dumps([each.as_json() for each in found])


def test_only_a_row_with_the_same_cost_gives_the_rate() -> None:
    speed = {
        "rows": [
            {"system": "a", "settings": {"mask_frac": 0.15, "size": "small", "seed": 1}},
            {"system": "b", "settings": {"mask_frac": 0.3, "size": "small", "seed": 1}},
        ]
    }
    found = measured_row(speed, {"mask_frac": 0.3, "size": "small", "seed": 2, "max_steps": 9})
    assert found["system"] == "b"
    with pytest.raises(SystemExit, match=r"not measured with mask_frac = 0\.2 "):
        measured_row(speed, {"mask_frac": 0.2, "size": "small"})


def test_a_peers_settings_are_known_before_it_runs() -> None:
    found = settings_of_peer(["tuned", "--learning-rate=2e-3", "--seed=4"])
    assert (found["form"], found["bf16"], found["learning_rate"], found["seed"]) == (
        "tuned", True, 2e-3, 4,
    )  # fmt: skip


def test_a_finished_run_is_not_repeated_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    arguments = argparse.Namespace(runs=tmp_path, threads=1)
    code = "import os, json; print(json.dumps({'pid': os.getpid()}))"
    first = kept("run", [sys.executable, "-c", code], arguments)
    assert kept("run", [sys.executable, "-c", code], arguments) == first
    with pytest.raises(RuntimeError):
        kept("broken", [sys.executable, "-c", "raise SystemExit(3)"], arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_runs_are_known_by_their_settings_and_data() -> None:
    arguments = argparse.Namespace(tokens=Path("/a/t"), vocab=Path("/a/v"), threads=1)
    moved = argparse.Namespace(tokens=Path("/b/t"), vocab=Path("/b/v"), threads=1)
    other = argparse.Namespace(tokens=Path("/b/u"), vocab=Path("/b/v"), threads=1)
    assert key_of(["seed=1"], arguments) == key_of(["seed=1"], moved)
    assert len({key_of([f"seed={n}"], each) for n in (1, 2) for each in (moved, other)}) == 4


def test_curves_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "loss.png"
    draw([curve("peer", 0, 3.0, 2.8), curve("corpusmith, 2 steps", 1, 2.9, 2.7)], path)
    assert path.read_bytes().startswith(b"\x89PNG")
