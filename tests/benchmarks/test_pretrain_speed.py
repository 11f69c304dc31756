"""The pretraining benchmark compares the same work, and its table says what was measured."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import pretrain_peer
from tests.benchmarks.children import Spent
from tests.benchmarks.pretrain_inputs import find_inputs
from tests.benchmarks.pretrain_speed import (
    PEERS,
    environment,
    merged,
    ours_command,
    peer_command,
    peer_options,
)
from tests.benchmarks.pretrain_table import (
    DEFAULT,
    OURS,
    TUNED,
    Row,
    as_json,
    gate_faults,
    gate_lines,
    ratios,
    table,
    times,
)

FULL = {"num_rows": 10, "fill_frac": 0.999, "text_frac": 0.98, "num_dropped_tokens": 0}


def spent(*wall_s: float, num_tokens: int = 100, **report: Any) -> Spent:
    found = {
        "wall_s": list(wall_s),
        "cpu_s": [2 * seconds for seconds in wall_s],
        "num_tokens": [num_tokens] * len(wall_s),
        "num_parameters": 7,
        "num_threads": 2,
        "packing": FULL,
        "settings": {"rows": 16},
        "versions": {"torch": "2"},
    }
    return Spent(1.0, 1.0, 10**8, 0, {**found, **report})


def rows() -> list[Row]:
    return [
        Row(OURS, 9.70, [spent(1, 1, 4), spent(2, 2, 9)]),
        Row(DEFAULT, 9.7004, [spent(4, 4, 1), spent(6, 6, 2)]),
        Row(TUNED, 9.7, [spent(2, 3, 2), spent(2, 2, 3)]),
    ]


def arguments(**changes: Any) -> argparse.Namespace:
    given = {"tokens": Path("/t"), "vocab": Path("/v"), "folder": None, "mask_frac": 0.15}
    return argparse.Namespace(**{**given, "peer_python": Path("/p"), "threads": 2, **changes})


def test_rates_are_medians_over_updates_and_then_over_rounds() -> None:
    ours = rows()[0]
    assert ours.rates("wall_s") == [100, 50]
    assert ours.rate("wall_s") == 75
    assert ours.rate("cpu_s") == 37.5
    assert ours.step_s("wall_s") == 2


def test_ratios_are_taken_round_by_round() -> None:
    ours, default, tuned = rows()
    assert ratios(ours, default, "wall_s") == [4, 3]
    assert times(ours, default, "cpu_s") == 3.5
    assert ratios(ours, tuned, "wall_s") == [2, 1]


def test_rates_know_that_updates_differ_in_size() -> None:
    report = spent(1, 1, 1).report | {"num_tokens": [100, 300, 200]}
    assert Row(OURS, 9.7, [Spent(1, 1, 1, 0, report)]).rate("wall_s") == 200


def test_the_gate_closes_on_other_losses_and_other_models() -> None:
    assert gate_faults(rows()) == []
    assert "passed: 9.700000 to 9.700400" in gate_lines(rows())[0]
    apart = [*rows(), Row("other", 9.702, [spent(1)])]
    assert "other finds a loss of 9.702000" in gate_faults(apart)[0]
    assert gate_faults([*rows(), Row("broken", float("nan"), [spent(1)])])
    larger = [*rows(), Row("larger", 9.7, [spent(1, num_parameters=8)])]
    assert "larger has 8 parameters" in gate_faults(larger)[0]
    assert gate_faults([Row(OURS, 9.7), Row(TUNED, 9.7)]) == []


def test_the_table_has_a_line_for_each_row_and_each_pair() -> None:
    lines = table(rows())
    assert [line.split("  ")[0] for line in lines[1:4]] == [row.system for row in rows()]
    assert f"{OURS}: x {DEFAULT}: 3.50 by the clock (4.00 3.00), 3.50 in CPU time" in lines[4]
    assert f"{OURS}: x {TUNED}: 1.50 by the clock" in lines[5]
    assert lines[6].startswith("gate: passed")
    found = json.loads(json.dumps(as_json(rows())))
    assert found[0]["times"][DEFAULT]["wall_s"] == {"median": 3.5, "by_round": [4, 3]}
    assert found[1]["times"] == {}
    assert found[2]["tokens_per_step"] == 100


def test_of_a_setting_given_twice_the_last_one_holds() -> None:
    assert merged(["size=small", "seed=1", "size=tiny"]) == ["size=tiny", "seed=1"]
    command = ours_command(["mask_frac=0.15", "mask_frac=0.3"], arguments(), "--steps=3")
    assert [part for part in command if "mask_frac" in str(part)] == ["mask_frac=0.3"]


@pytest.mark.parametrize("system", [*PEERS, f"{TUNED}, rows=32,learning-rate=2e-3"])
def test_peers_are_called_with_options_they_have(system: str) -> None:
    command = peer_command(system, Path("/w"), arguments(mask_frac=0.2), "--steps=4")
    parsed = pretrain_peer.parse_arguments([str(part) for part in command[3:]])
    assert (parsed.mask_frac, parsed.model, parsed.steps) == (0.2, Path("/w"), 4)
    assert parsed.bf16 == (system.startswith(TUNED) and not system.endswith("fp32"))
    assert parsed.compile == system.endswith("compiled")
    assert parsed.rows == {"default": 8, "tuned": 32 if "rows" in system else 16}[parsed.form]


def test_the_default_form_is_what_run_mlm_does_untold() -> None:
    parsed = pretrain_peer.parse_arguments(["default", "--tokens=/t", "--vocab=/v"])
    found = pretrain_peer.settings(parsed)
    assert found == {
        "form": "default",
        "rows": 8,
        "learning_rate": 5e-5,
        "warmup_frac": 0.0,
        "weight_decay": 0.0,
        "mask_frac": 0.15,
        "bf16": False,
        "compile": False,
        "schedule": "linear",
        "seed": 0,
    }
    assert peer_options(DEFAULT) == ["default"]


def test_every_system_gets_the_same_threads() -> None:
    assert "OMP_NUM_THREADS=2" in environment(arguments())
    assert environment(arguments())[0] == "env"


def test_a_workspace_without_tokens_is_refused(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    with pytest.raises(SystemExit, match="no artifact of tokenize: run it first"):
        find_inputs(parser, arguments(workspace=tmp_path, tokens=None, vocab=None))
    with pytest.raises(SystemExit):
        find_inputs(parser, arguments(workspace=None, vocab=None))
