"""Rows of what each head is worth: the masked-token loss without it, less that with all heads.

Letters: S documents, K layers, H heads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from model.head_ablation import TOKENS_PER_BATCH, ablate_heads
from model.inspection import MaskedPredictor
from model.masked_sequences import mask_sequences
from tasks.probe.masked_loss import MASK_FRAC, per_gap
from tasks.probe.sample import MAX_GROUPS, SPLIT, Sample
from tasks.probe.table import Row, row_of_interval

ABLATION_LOSS = "ablation_loss"


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What removing each head did, on what, and what that cost.

    Attributes:
        rows: `ablation_loss` of every head in nats; above 0: the model is worse without it.
        loss: masked-token loss with all heads on the same gaps, nats.
        num_documents: looked at.
        num_tokens: in these.
        num_gaps: tokens that were masked.
        num_passes: passes through all layers that the work amounts to.
        seconds: what it took; no part of an artifact, which would not be the same twice.
    """

    rows: list[Row]
    loss: float
    num_documents: int
    num_tokens: int
    num_gaps: int
    num_passes: float
    seconds: float


def ablate_each_head(
    model: MaskedPredictor,
    sample: Sample,
    *,
    num_tokens: int = 4000,
    mask_frac: float = MASK_FRAC,
    mask_seed: int = 0,
    prefix: str = "",
    seed: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    on_batch: Callable[[int, int], None] = lambda num_done, num_documents: None,
) -> Ablation:
    """Remove every head in turn, paired on the same gaps; intervals are over documents.

    Args:
        model: as trained; the same afterwards.
        sample: its first documents are looked at.
        num_tokens: of these documents, at most, but two documents in any case.
        mask_frac, mask_seed: of the gaps.
        prefix: goes before the measure's name.
        seed: what the rows say of the model's seed.
        tokens_per_batch: are computed at once.
        on_batch: hears how many documents are done, and of how many.

    Cost: about H (K + 1) / 2 passes of those tokens through the encoder.
    """
    start = perf_counter()
    part = first_documents(sample, num_tokens)
    num_documents = len(part.documents)
    losses = ablate_heads(
        model,
        mask_sequences(part.documents, model.config, mask_frac=mask_frac, seed=mask_seed),
        tokens_per_batch=tokens_per_batch,
        on_batch=lambda num_done: on_batch(num_done, num_documents),
    )
    worse_SX = (losses.without_SKH - losses.whole_S[:, None, None]).flatten(1)
    interval = per_gap(worse_SX, losses.num_gaps_S, part)
    num_heads, num_gaps = model.config.num_heads, int(losses.num_gaps_S.sum())
    return Ablation(
        rows=[
            row_of_interval(
                interval.at(place),
                measure=prefix + ABLATION_LOSS,
                layer=place // num_heads + 1,
                head=place % num_heads,
                split=SPLIT,
                seed=seed,
            )
            for place in range(len(interval.value))
        ],
        loss=float(losses.whole_S.sum()) / max(1, num_gaps),
        num_documents=num_documents,
        num_tokens=part.num_tokens,
        num_gaps=num_gaps,
        num_passes=losses.num_layer_passes / model.config.num_layers,
        seconds=perf_counter() - start,
    )


def first_documents(sample: Sample, num_tokens: int) -> Sample:
    """The sample's first documents of at most `num_tokens` together, but two in any case."""
    documents = list(sample.documents[:2])
    total = sum(map(len, documents))
    for document in sample.documents[2:]:
        total += len(document)
        if total > num_tokens:
            break
        documents.append(document)
    return Sample(documents, min(MAX_GROUPS, len(documents)))
