"""What a masked language model's own head shows: loss by layer, worth of heads, course of training.

Letters: V vocabulary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.inspection import MaskedPredictor
from tasks.probe.ablation import Ablation, ablate_each_head
from tasks.probe.checkpoints import SavedModel
from tasks.probe.config import ProbeConfig
from tasks.probe.masked_loss import count_tokens, masked_loss_rows, unigram_rows
from tasks.probe.over_time import StepRow, rows_over_time
from tasks.probe.sample import Sample, Tokens
from tasks.probe.table import Row
from tasks.stage import Reporter


@dataclass(frozen=True, kw_only=True)
class Guessing:
    """What was measured with the head.

    Attributes:
        layers: rows of masked loss and accuracy, and of guessing by frequency.
        ablation: what each head is worth.
        steps: rows of each checkpoint; none where the encoder was not trained here.
    """

    layers: list[Row]
    ablation: Ablation
    steps: list[StepRow]


def probe_guesses(
    model: MaskedPredictor,
    sample: Sample,
    train: Sequence[Tokens],
    checkpoints: Iterable[SavedModel],
    config: ProbeConfig,
    report: Reporter,
) -> Guessing:
    """Measure what needs the model's head.

    Args:
        model: as trained, in evaluation mode; the same afterwards.
        sample: held-out documents.
        train: what says how frequent tokens are.
        checkpoints: of its training, in order; each is loaded when asked for.
        config: the settings.
        report: is told what it cost to take heads out.
    """
    counts_V = count_tokens(train, model.config.vocab_size)
    layers = masked_loss_rows(model, sample, mask_seed=config.seed)
    layers += unigram_rows(counts_V, sample, model.config, mask_seed=config.seed)
    ablation = ablate_each_head(
        model, sample, num_tokens=config.ablation_tokens, mask_seed=config.seed
    )
    report.message(
        f"taking out each head: {ablation.num_tokens:,} tokens, {ablation.num_gaps:,} of them "
        f"masked, the work of {ablation.num_passes:.1f} passes, {ablation.seconds:.1f} s"
    )
    steps = rows_over_time(checkpoints, sample, mask_seed=config.seed)
    return Guessing(layers=layers, ablation=ablation, steps=steps)
