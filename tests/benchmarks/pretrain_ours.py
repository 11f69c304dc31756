"""Trains an encoder with corpusmith, in a process of its own, for the benchmarks.

    python -m tests.benchmarks.pretrain_ours --workspace WORKSPACE --steps 20 --discard-steps 3 \\
        size=small mask_frac=0.15
    python -m tests.benchmarks.pretrain_ours --workspace WORKSPACE --dump /tmp/rows \\
        size=small validation_rows=128

Settings of the stage are given as KEY=VALUE. The run is the stage's own, from batches to
checkpoints; what is measured lies between its questions whether to stop and its news of progress,
so validations and checkpoints are left out. With --dump nothing is trained: a folder is written
with the weights that training would begin from, as transformers loads them, and with two files of
masked pieces for the peers: `validation.npz`, what a validation asks, and `gate.npz`, the longest
pieces of its first batch, each of which is a row of its own for us too.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flows.options import overrides
from model.batch import Batch
from model.masked_batches import MaskedBatch
from model.packing import PackingPlan
from model.state import TrainingState, library_versions
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.run import PretrainingRun, prepare
from tasks.stage import StageContext
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.manifest import read_manifest
from tasks.tokens import TokenizedCorpus
from tests.benchmarks.children import absolute
from tests.benchmarks.pretrain_inputs import add_inputs, find_inputs

GATE_PIECES = 32
NOT_ASKED = -100

Pieces = dict[str, NDArray[np.int64]]


def main() -> None:
    """Prints one line of JSON: seconds, tokens and losses of the updates, or the dump's losses."""
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="pretrain-ours-") as name:
        listener = StepClock()
        run = prepare_run(arguments, Path(name), listener)
        report = {
            "system": "corpusmith",
            "num_parameters": sum(parameter.numel() for parameter in run.model.parameters()),
            "num_threads": torch.get_num_threads(),
            "precision": str(run.precision),
            "settings": run.config.model_dump(mode="json"),
            "packing": packing_of(run.tokens),
            "versions": library_versions(),
        }
        if arguments.dump:
            run.training(lambda: False)  # at its beginning
            report["dump"] = dump(run, arguments.dump)
        else:
            report |= train(run, listener, arguments.discard_steps)
    sys.stdout.write(json.dumps(report) + "\n")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="of stage pretrain")
    add_inputs(parser)
    parser.add_argument("--steps", type=int, default=8, help="updates, unless max_steps is set")
    parser.add_argument("--discard-steps", type=int, default=0, help="first ones, not timed")
    parser.add_argument("--threads", type=int, help="of torch; else as torch decides")
    parser.add_argument("--dump", type=absolute, help="write weights and masked pieces there")
    arguments = parser.parse_args()
    find_inputs(parser, arguments)
    return arguments


def prepare_run(
    arguments: argparse.Namespace, output: Path, listener: "StepClock"
) -> PretrainingRun:
    """The stage's run with the settings of the command line."""
    settings = {"max_steps": arguments.steps, **parse_settings(arguments.settings)}
    inputs = {"tokenize": artifact(arguments.tokens), "vocab": artifact(arguments.vocab)}
    return prepare(StageContext(PretrainConfig(**settings), inputs, output, listener))


def parse_settings(given: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs as the stage's settings, spelled as on corpusmith's own command line.

    Raises:
        SystemExit: one has no "=" or no known key.
    """
    pairs = dict.fromkeys(given, "")
    for pair in pairs:
        key, equals, _ = pair.partition("=")
        if not equals or key not in PretrainConfig.model_fields:
            raise SystemExit(f"{pair!r} is no KEY=VALUE with a setting of pretrain")
    named = {f"pretrain.{key}": value for key, _, value in (pair.partition("=") for pair in pairs)}
    return overrides(argparse.Namespace(**named)).get("pretrain", {})


def artifact(folder: Path) -> Artifact:
    """The committed artifact in a folder."""
    return artifact_from(folder, read_manifest(folder))


def packing_of(tokens: TokenizedCorpus) -> dict[str, Any]:
    """How well the training rows are filled."""
    plan: PackingPlan = tokens.packed("train").plan
    return {
        "num_rows": plan.num_rows,
        "fill_frac": plan.fill_frac,
        "text_frac": plan.num_tokens / (plan.num_rows * plan.row_tokens),
        "num_dropped_tokens": int(tokens.documents("train").lengths.sum()) - plan.num_tokens,
    }


# ----------------------------------------------------------------------------- training


def wall_and_cpu_s() -> tuple[float, float]:
    """Seconds by the clock, and those that this process's threads have worked."""
    return time.perf_counter(), time.process_time()


@dataclass
class StepClock:
    """A stage's reporter that times updates and keeps the validations.

    The loop asks `update_is_done` after an update and before what is not training; it reports
    progress when that is over too.
    """

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    num_tokens: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)
    measured: dict[int, dict[str, float]] = field(default_factory=dict)
    now: Callable[[], tuple[float, float]] = wall_and_cpu_s
    _from: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> None:
        """The next update begins now."""
        self._from = self.now()

    def update_is_done(self, state: TrainingState) -> None:
        """Take the time of an update, and what it learned from."""
        wall_s, cpu_s = self.now()
        self.wall_s.append(wall_s - self._from[0])
        self.cpu_s.append(cpu_s - self._from[1])
        self.num_tokens.append(state.num_tokens - sum(self.num_tokens))
        self.losses.append(state.recent_losses[-1])

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Keep a validation with the training time up to it, and everything by its step."""
        assert step is not None
        self.measured.setdefault(step, {}).update(values)
        if "validation_bits_per_byte" in values:
            self.validations.append(
                {
                    "step": step,
                    "train_wall_s": sum(self.wall_s),
                    "train_cpu_s": sum(self.cpu_s),
                    "num_tokens": sum(self.num_tokens),
                    "loss": values["validation_loss"],
                    "bits_per_byte": values["validation_bits_per_byte"],
                }
            )

    def values(self, name: str) -> list[float]:
        """What was measured under this name, in the order of the steps."""
        return [found[name] for found in self.measured.values() if name in found]

    def progress(self, done: int, total: int, unit: str) -> None:
        """An update and all that follows it is over."""
        self.begin()

    def table(self, name: str, rows: Any) -> None:
        """Nobody looks."""

    def example(self, name: str, text: str) -> None:
        """Nobody reads."""

    def message(self, text: str) -> None:
        """Show it beside the output."""
        sys.stderr.write(text + "\n")

    warning = message


def train(run: PretrainingRun, clock: StepClock, num_discarded: int) -> dict[str, Any]:
    """The run to its end; seconds and real tokens of each update after the discarded."""

    def should_stop() -> bool:
        clock.update_is_done(training.state)
        return False

    assert run.validation.batches  # made before the clock runs
    training = run.training(should_stop)
    clock.begin()
    training.run()
    return {
        "num_discarded": num_discarded,
        "wall_s": clock.wall_s[num_discarded:],
        "cpu_s": clock.cpu_s[num_discarded:],
        "num_tokens": clock.num_tokens[num_discarded:],
        "losses": clock.losses,
        "validations": clock.validations,
        "checkpoint_s": clock.values("checkpoint_s"),
        "checkpoint_frac": sum(clock.values("checkpoint_s")) / sum(clock.wall_s),
        "input_stall_frac": statistics.median(clock.values("input_stall_frac")),
        "last_metrics": clock.measured[max(clock.measured)],
    }


# -------------------------------------------------------------------------------- dumps


def dump(run: PretrainingRun, folder: Path) -> dict[str, Any]:
    """Writes weights and masked pieces; returns the losses that the peers must find on them."""
    folder.mkdir(parents=True, exist_ok=True)
    run.write_model(folder)
    batches = list(run.validation.batches)
    token_bytes_V = run.validation.token_bytes_V.numpy()
    row_tokens = run.tokens.summary.row_tokens
    gate = lone_pieces(pieces_of(batches[0], token_bytes_V), row_tokens, run.encoder.pad_id)
    losses = {}
    for name, asked in (("gate", [gate]), ("validation", batches)):
        write_pieces(folder / f"{name}.npz", asked, token_bytes_V)
        measures = replace(run.validation, batches=asked, precision=torch.float32)(run.model)
        losses[name] = {
            "loss": measures["validation_loss"],
            "bits_per_byte": measures["validation_bits_per_byte"],
            "num_targets": sum(batch.num_targets for batch in asked),
        }
    return losses


def write_pieces(path: Path, batches: list[MaskedBatch], token_bytes_V: NDArray[np.int64]) -> None:
    """All pieces of the batches, one after the other, as a file that needs no code to be read."""
    parts = [pieces_of(batch, token_bytes_V) for batch in batches]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ends = np.cumsum(joined.pop("lengths"))
    np.savez(path, ends=ends, **joined)


def pieces_of(batch: MaskedBatch, token_bytes_V: NDArray[np.int64]) -> Pieces:
    """The pieces of a batch in its order: `seen` ids, `labels` (the token that stood there, or
    `NOT_ASKED`) and `label_bytes` of all, int64 [N], and their `lengths`, int64 [S]."""
    shape = batch.batch.token_ids_BL.shape
    labels = np.full(math.prod(shape), NOT_ASKED, np.int64)
    asked = batch.targets_M.numpy() >= 0
    labels[batch.positions_M.numpy()[asked]] = batch.targets_M.numpy()[asked]
    sequence_ids = batch.batch.sequence_ids_BL.numpy().ravel()
    is_text = sequence_ids > 0
    label_bytes = np.where(labels >= 0, token_bytes_V[np.maximum(labels, 0)], 0)
    return {
        "seen": batch.batch.token_ids_BL.numpy().ravel()[is_text],
        "labels": labels[is_text],
        "label_bytes": label_bytes[is_text],
        "lengths": np.bincount(sequence_ids[is_text])[1:],
    }


def lone_pieces(pieces: Pieces, row_tokens: int, pad_id: int) -> MaskedBatch:
    """The longest pieces, at most `GATE_PIECES`, each in a row of its own, asked the same."""
    ends = np.cumsum(pieces["lengths"])
    longest = np.argsort(-pieces["lengths"], kind="stable")[:GATE_PIECES]
    seen_BL = np.full((len(longest), row_tokens), pad_id, np.int64)
    labels_BL = np.full_like(seen_BL, NOT_ASKED)
    for row, piece in enumerate(longest):
        length = int(pieces["lengths"][piece])
        span = slice(ends[piece] - length, ends[piece])
        seen_BL[row, :length] = pieces["seen"][span]
        labels_BL[row, :length] = pieces["labels"][span]
    places_L = np.arange(row_tokens)
    is_text_BL = places_L < pieces["lengths"][longest][:, None]
    batch = Batch(
        torch.from_numpy(seen_BL),
        torch.from_numpy(is_text_BL * np.arange(1, len(longest) + 1)[:, None]),
        torch.from_numpy(is_text_BL * places_L),
        len(longest),
    )
    positions_M = np.flatnonzero(labels_BL >= 0)
    targets_M = torch.from_numpy(labels_BL.ravel()[positions_M])
    num_tokens = int(is_text_BL.sum())
    return MaskedBatch(batch, torch.from_numpy(positions_M), targets_M, len(targets_M), num_tokens)


if __name__ == "__main__":
    main()
