"""The command line is a promise: an option that goes or changes its name fails here.

After a deliberate change: ``python -m tests.contracts.test_options > tests/contracts/options.txt``
"""

import argparse
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
    """Half a second is the contract; what would break it is a heavy library loaded for a page of
    text. Seconds are not asked for: they tell more of the machine's other work than of ours."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flows", "run", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "--pretrain.max_steps" in done.stdout
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "pydantic" in loaded, "the list of loaded modules was not read"
    assert not loaded & HEAVY


if __name__ == "__main__":
    sys.stdout.write(surface())
