"""Measures what keeping the masked-token loss while tuning does to retrieval, over seeds.

    python -m tests.benchmarks.tune_masked_loss --workspace WORKSPACE --seeds 0 1 2 \\
        --rates 0 1e-4 5e-4 --json masked.json branch_scale=1.0

Corpus, tokens and pretrained encoder are those of the workspace's newest embedder, settings too
where KEY=VALUE does not say otherwise. Before each update of the tuning, the same layers and token
vectors take one of masked language modelling, on windows of training documents; its rate is the
weight of that loss, 0 leaves it out. Head and decoder are the pretrained ones and go on learning.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.huggingface import load_masked_lm
from model.masked_sequences import gap_batches, mask_sequences
from model.mlm import MaskedLanguageModel, MaskedLoss
from model.spans import SpanPairs, SpanSampler
from model.tuning import rate_factor_at
from tasks.embedder import Embedder
from tasks.stage import StageContext
from tasks.tune.documents import TokenIds
from tasks.tune.prepare import prepare
from tasks.tune.training import TuningRun
from tests.benchmarks.ingest_ours import SilentReporter
from tests.benchmarks.pretrain_speed import merged
from tests.benchmarks.tune_ablations import (
    RECIPE,
    Chain,
    find_chain,
    recall,
    tell,
    tune_config,
    tuning_parser,
)

WINDOW_TOKENS = 126
WINDOWS_PER_UPDATE = 32
MASK_FRAC = 0.3


@dataclass
class MaskedBetween:
    """Draws the spans of each step, after an update of masked language modelling.

    Attributes:
        sampler: of the spans.
        model: shares its encoder with the tuning.
        tuning: whose documents and schedule are used.
        rate: of AdamW, at its peak.
        losses: nats a gap, of each update.
    """

    sampler: SpanSampler
    model: MaskedLanguageModel
    tuning: TuningRun
    rate: float
    losses: list[float]

    def __post_init__(self) -> None:
        self.documents_per_batch = self.sampler.documents_per_batch
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, weight_decay=0.0)

    def pairs(self, step: int) -> SpanPairs:
        """What the sampler gives."""
        self._update(step)
        return self.sampler.pairs(step)

    def _update(self, step: int) -> None:
        windows = draw_windows(self.tuning.documents, step)
        masked = mask_sequences(windows, self.model.config, mask_frac=MASK_FRAC, seed=step)
        [gaps] = gap_batches(
            masked,
            self.model.config,
            tokens_per_batch=10**9,
            device=self.model.head.dense.weight.device,
        )
        self.model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate * rate_factor_at(step, self.tuning.tuner.settings)
        loss = MaskedLoss(self.model)(gaps.batch, gaps.positions_M, gaps.targets_M)
        loss = loss / len(gaps.targets_M)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self.losses.append(float(loss.item()))


def draw_windows(documents: Sequence[TokenIds], step: int) -> list[TokenIds]:
    """Windows of random documents, each at a random place; a function of the step."""
    draw = np.random.default_rng([step, 7])
    windows = []
    for number in draw.integers(len(documents), size=WINDOWS_PER_UPDATE):
        document = documents[number]
        start = int(draw.integers(max(1, len(document) - WINDOW_TOKENS + 1)))
        windows.append(document[start : start + WINDOW_TOKENS])
    return windows


def main() -> None:
    """Do all runs, then print the table; all figures with --json."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    chain = find_chain(arguments.workspace)
    found = {
        f"{rate:g}": [run(chain, rate, seed, arguments) for seed in arguments.seeds]
        for rate in arguments.rates
    }
    tell(chain, arguments, table(found), found)


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = tuning_parser(str(__doc__))
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 1e-4, 5e-4])
    arguments = parser.parse_args()
    arguments.settings = merged(arguments.settings)
    return arguments


def run(chain: Chain, rate: float, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Tune once.

    Returns:
        Recall at 1 by task, the step that was best, and the masked loss at the end.
    """
    sys.stderr.write(f"running rate {rate:g}, seed {seed}\n")
    config = tune_config(chain, RECIPE, seed, arguments)
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        tuning = prepare(StageContext(config, chain.inputs, output, SilentReporter()))
        losses: list[float] = []
        if rate:
            model = load_masked_lm(chain.inputs["pretrain"].path).to(config.device)
            model.model = tuning.tuner.encoder  # the decoder keeps the pretrained token vectors
            tuning.sampler = MaskedBetween(tuning.sampler, model, tuning, rate, losses)
        tuning.run()
        tuning.write_embedder(tuning.tuner.encoder, output)
        embedder = Embedder.load(output, config.device)
        recalls = {
            halves.task: recall(embedder, halves, embedder.about.dim) for halves in chain.asked
        }
    ends = {"masked_loss": statistics.fmean(losses[-10:])} if losses else {}
    return {**recalls, "best_step": float(tuning.best_step), **ends}


def table(found: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """A line a rate, in Markdown: medians over the seeds, and between which they lie."""
    names = ["half_document", "hard_half_document", "best_step", "masked_loss"]
    yield f"| rate of the masked loss | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for rate, runs in found.items():
        cells = []
        for name in names:
            values = [one[name] for one in runs if name in one]
            middle = f"{statistics.median(values):.3f}" if values else ""
            cells.append(f"{middle} ({min(values):.3f} to {max(values):.3f})" if values else "")
        yield f"| {rate} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
