"""The command line is a promise: an option that goes or changes its name fails here.

After a deliberate change: ``python -m tests.contracts.test_options > tests/contracts/options.txt``
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path

from flows.config import PipelineConfig, keys_of
from flows.parser import build_parser

FROZEN = Path(__file__).with_name("options.txt")
RELIED_ON = """
    ingest.text_column ingest.id_column ingest.label_column ingest.split_column vocab.vocab_size
    vocab.top_k vocab.algorithm pretrain.size pretrain.max_steps pretrain.max_minutes
    pretrain.init_from pretrain.num_heads pretrain.seed tune.max_steps export.dtype export.level
""".split()

HEAVY = set("torch numpy pyarrow prefect mlflow fsspec tokenizers httpx fastapi".split())
"""Libraries of which any one would take help's half second by itself, or much of it."""


def surface() -> str:
    """Every command with its options, one a line."""
    [commands] = [
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    lines = []
    for name, parser in sorted(commands.choices.items()):
        options = sorted(option for action in parser._actions for option in _spelling(action))
        lines.append(f"{name} {' '.join(options)}\n")
    return "".join(lines)


def _spelling(action: argparse.Action) -> list[str]:
    return list(action.option_strings) or [action.dest.upper()]


def test_the_surface_is_the_frozen_one() -> None:
    assert surface() == FROZEN.read_text("utf-8")


def test_keys_others_rely_on_exist() -> None:
    keys = {
        f"{section}.{key}" for section in PipelineConfig.model_fields for key in keys_of(section)
    }
    assert not set(RELIED_ON) - keys


def test_every_setting_is_described() -> None:
    for section in PipelineConfig.model_fields:
        model = PipelineConfig.model_fields[section].annotation
        undescribed = [name for name, field in model.model_fields.items() if not field.description]
        assert not undescribed, section


def test_help_answers_at_once() -> None:
    """The contract is half a second; of its own processor time, for waiting while the machine does
    other work says nothing of ours, and the best of three tries, because machines are noisy."""
    seconds = []
    for _ in range(3):
        before = processor_seconds_of_children()
        done = run_help()
        seconds.append(processor_seconds_of_children() - before)
        assert done.returncode == 0
        assert "--pretrain.max_steps" in done.stdout
    assert min(seconds) < 0.5


def test_help_loads_no_heavy_library() -> None:
    lines = run_help("-X", "importtime").stderr.splitlines()
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}
    assert "pydantic" in loaded, "the list of loaded modules was not read"
    assert not loaded & HEAVY


def run_help(*interpreter_options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *interpreter_options, "-m", "flows", "run", "--help"]
    return subprocess.run(command, capture_output=True, text=True)


def processor_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdout.write(surface())
