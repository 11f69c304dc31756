"""Passes through the encoder: states and attention of a sample, mean states of windows.

Letters: K layers (embeddings included), N real tokens, D hidden width, S sequences, H heads,
M head measures, B rows, L positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from model.batch import Batch, batch_from_sequences
from model.config import Sizes
from model.encoder import Observation
from model.heads import HEAD_MEASURES, head_sums
from model.intervals import sum_by_group
from tasks.probe.sample import Sample, Tokens

TOKENS_PER_BATCH = 2048  # more no longer fit a core's cache: a third slower at 8192


class Observable(Protocol):
    """Something whose layers can be looked at: an encoder, or vectors that no context reaches."""

    @property
    def config(self) -> Sizes:
        """Its sizes and special ids."""

    def observe(self, batch: Batch, *, attention: bool = False) -> Iterator[Observation]:
        """What each layer computes, as `model.encoder.Encoder.observe`."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights; the first says where it computes."""


@dataclass(frozen=True)
class Observed:
    """What one pass over a sample leaves.

    Attributes:
        states_KND: float32, states of the real tokens; layer 0 is the embeddings.
        types_N: int64, the token id at each.
        document_N: int64, the document each is from.
        head_sums_KSHM: float64, sums over each document's tokens; from layer 1 on.
    """

    states_KND: Tensor
    types_N: Tensor
    document_N: Tensor
    head_sums_KSHM: Tensor


@torch.inference_mode()
def observe_sample(
    encoder: Observable,
    sample: Sample,
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    attention: bool = True,
) -> Observed:
    """Every layer's states and every head's sums, from one pass through the encoder.

    Special tokens and padding take part in attention, as in training, and are left out of all
    that is returned. Tokens are in the order of the documents. Computed in float32. Memory: K N D
    floats.

    Args:
        encoder: in evaluation mode.
        sample: the documents.
        tokens_per_batch: how many are looked at together.
        attention: without it nothing is said of heads (`head_sums_KSHM` has no K), and the pass
            costs little more than encoding does.
    """
    config, device = encoder.config, next(encoder.parameters()).device
    states_KND = torch.empty(
        config.num_layers + 1, sample.num_tokens, config.hidden_size, device=device
    )
    types, documents, heads = [], [], []
    end = 0
    for batch, first in batches(encoder, sample.documents, tokens_per_batch):
        places_N = _places(encoder, batch)
        types.append(batch.token_ids_BL.flatten()[places_N])
        documents.append(batch.sequence_ids_BL.flatten()[places_N] - 1 + first)
        start, end = end, end + len(places_N)
        heads.append(
            _observe_batch(encoder, batch, places_N, states_KND[:, start:end], attention=attention)
        )
    return Observed(
        states_KND[:, :end], torch.cat(types), torch.cat(documents), torch.cat(heads, dim=1)
    )


@torch.inference_mode()
def mean_states(
    encoder: Observable,
    sequences: Sequence[Tokens],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> Tensor:
    """Each sequence's states averaged over its real tokens, in every layer: float32 [K, S, D]."""
    parts = []
    for batch, _ in batches(encoder, sequences, tokens_per_batch):
        is_real_BL = real_tokens(encoder, batch)
        owner_N = batch.sequence_ids_BL[is_real_BL] - 1
        count_S1 = torch.bincount(owner_N, minlength=batch.num_sequences)[:, None]
        sums = [
            sum_by_group(seen.hidden_BLD[is_real_BL], owner_N, batch.num_sequences) / count_S1
            for seen in encoder.observe(batch)
        ]
        parts.append(torch.stack(sums).float())
    return torch.cat(parts, dim=1)


def real_tokens(encoder: Observable, batch: Batch) -> Tensor:
    """Where a batch holds text, known or not, and no special token or padding: bool [B, L]."""
    names = [each for each in encoder.config.special_ids if each != encoder.config.unk_id]
    special = torch.tensor(names, device=batch.token_ids_BL.device)
    return (batch.sequence_ids_BL > 0) & ~torch.isin(batch.token_ids_BL, special)


def _places(encoder: Observable, batch: Batch) -> Tensor:
    """Where in a flattened batch its text is, sequence by sequence: int64 [N]."""
    places_N = real_tokens(encoder, batch).flatten().nonzero()[:, 0]
    return places_N[batch.sequence_ids_BL.flatten()[places_N].argsort(stable=True)]


def _observe_batch(
    encoder: Observable, batch: Batch, places_N: Tensor, states_KND: Tensor, *, attention: bool
) -> Tensor:
    """Writes the states of the tokens at `places_N`, and gives the heads' sums, [K, S, H, M].

    These are of no layer where attention is not asked for.
    """
    is_real_BL = real_tokens(encoder, batch)
    heads = []
    for seen in encoder.observe(batch, attention=attention):
        hidden_MD = seen.hidden_BLD.flatten(0, 1).float()
        torch.index_select(hidden_MD, 0, places_N, out=states_KND[seen.layer])
        if seen.attention_BHLL is not None:
            heads.append(
                head_sums(
                    seen.attention_BHLL,
                    batch.sequence_ids_BL,
                    is_real_BL,
                    num_sequences=batch.num_sequences,
                )
            )
    shape = (0, batch.num_sequences, encoder.config.num_heads, len(HEAD_MEASURES))
    return torch.stack(heads) if heads else torch.empty(shape, dtype=torch.float64)


def batches(
    encoder: Observable, sequences: Sequence[Tokens], tokens_per_batch: int
) -> Iterator[tuple[Batch, int]]:
    """Batches of consecutive sequences, each with the index of its first.

    What an encoder with a table of positions cannot read of a sequence is cut off.
    """
    special = encoder.config
    if special.position_limit is not None:
        sequences = [sequence[: special.position_limit - 2] for sequence in sequences]
    device = next(encoder.parameters()).device
    start = 0
    while start < len(sequences):
        end = start + 1
        num_tokens = len(sequences[start]) + 2
        while end < len(sequences) and num_tokens + len(sequences[end]) + 2 <= tokens_per_batch:
            num_tokens += len(sequences[end]) + 2
            end += 1
        batch = batch_from_sequences(
            sequences[start:end],
            row_tokens=None,
            cls_id=special.cls_id,
            sep_id=special.sep_id,
            pad_id=special.pad_id,
        )
        yield batch.to(device), start
        start = end
