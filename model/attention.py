"""Multi-head self-attention inside sequences, over rows or over one stream of tokens.

Letters: B rows, L positions, N = B·L tokens of the stream, M of them, D hidden width, H heads,
E head size, F half of it, R runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

from model.batch import Batch, Runs
from model.config import EncoderConfig
from model.rotary import rotary_table, rotate

StreamKernel = Callable[[Tensor, Tensor, Tensor, Runs, int | None], Tensor]


@dataclass(frozen=True)
class Neighbourhood:
    """Who sees whom in one kind of layer; made once a batch and shared by its layers.

    Attributes:
        cos_BLF: float32 rotary table.
        sin_BLF: float32 rotary table.
        half_window: how far a position sees to each side; None = the whole sequence.
        mask_B1LL: bool, True = attends; None where attention runs over the stream.
        runs: where attention starts anew; None where attention runs over rows.
    """

    cos_BLF: Tensor
    sin_BLF: Tensor
    half_window: int | None
    mask_B1LL: Tensor | None
    runs: Runs | None


def neighbourhood(
    batch: Batch, config: EncoderConfig, *, full: bool, stream: bool
) -> Neighbourhood:
    """Rotary table and mask (or runs, if `stream`) of `batch` for full or windowed layers."""
    theta = config.global_rope_theta if full else config.local_rope_theta
    half_window = None if full else config.half_window
    cos_BLF, sin_BLF = rotary_table(batch.positions_BL, head_size=config.head_size, theta=theta)
    return Neighbourhood(
        cos_BLF,
        sin_BLF,
        half_window,
        None if stream else attention_mask(batch, half_window),
        batch.runs if stream else None,
    )


def attention_mask(batch: Batch, half_window: int | None) -> Tensor:
    """Bool ``mask_B1LL``, True where a position attends.

    A position sees its own sequence, at most `half_window` away where one is given. Padding sees
    padding: no row of the mask is empty, so no softmax runs over nothing.
    """
    ids_BL, positions_BL = batch.sequence_ids_BL, batch.positions_BL
    mask_BLL = ids_BL[:, :, None] == ids_BL[:, None, :]
    if half_window is not None:
        distances_BLL = (positions_BL[:, :, None] - positions_BL[:, None, :]).abs()
        mask_BLL = mask_BLL & (distances_BLL <= half_window)
    return mask_BLL[:, None]


class Attention(nn.Module):
    """Projection to queries, keys and values, attention, projection back."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.Wqkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.Wo = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self, hidden_BLD: Tensor, where: Neighbourhood, positions_M: Tensor | None = None
    ) -> Tensor:
        """What each position gathers from its neighbourhood, ``hidden_BLD``.

        With `positions_M` (int64, in the flattened batch) only those positions' share, as
        ``hidden_MD``.
        """
        query_BLHE, key_BLHE, value_BLHE = self._project(hidden_BLD, where)
        if where.runs is not None:
            mixed_BLHE = attend_stream(query_BLHE, key_BLHE, value_BLHE, where)
        else:
            mixed_BLHE = attend_rows(query_BLHE, key_BLHE, value_BLHE, where)
        output_BLD: Tensor = self.Wo(at(mixed_BLHE.flatten(2), positions_M))
        return output_BLD

    def probabilities(self, hidden_BLD: Tensor, where: Neighbourhood) -> Tensor:
        """Float32 ``attention_BHLL``: how much each position (row) takes from each other one.

        Costs B·H·L² floats of memory, which the kernels of `forward` never hold.
        """
        if where.mask_B1LL is None:
            raise AssertionError("explicit probabilities need a neighbourhood over rows")
        query_BLHE, key_BLHE, _ = self._project(hidden_BLD, where)
        scale = query_BLHE.shape[-1] ** -0.5
        scores_BHLL: Tensor = torch.einsum("bqhe,bkhe->bhqk", query_BLHE.float(), key_BLHE.float())
        unseen_B1LL = ~where.mask_B1LL
        scores_BHLL = (scores_BHLL * scale).masked_fill(unseen_B1LL, float("-inf"))
        return scores_BHLL.softmax(dim=-1)

    def _project(self, hidden_BLD: Tensor, where: Neighbourhood) -> tuple[Tensor, Tensor, Tensor]:
        mixed_BLX = self.Wqkv(hidden_BLD)
        mixed_BL3HE = mixed_BLX.view(*mixed_BLX.shape[:2], 3, self.num_heads, -1)
        # Unbinding, not slicing: its gradient is one copy, where slices each fill a whole tensor.
        query_BLHE, key_BLHE, value_BLHE = mixed_BL3HE.unbind(2)
        cos_BL1F, sin_BL1F = where.cos_BLF[:, :, None], where.sin_BLF[:, :, None]
        return (
            rotate(query_BLHE, cos_BL1F, sin_BL1F),
            rotate(key_BLHE, cos_BL1F, sin_BL1F),
            value_BLHE,
        )


def at(hidden_BLD: Tensor, positions_M: Tensor | None) -> Tensor:
    """``hidden_MD`` at the positions of the flattened batch; all of it where none are given."""
    if positions_M is None:
        return hidden_BLD
    return hidden_BLD.flatten(0, 1).index_select(0, positions_M)


def attend_rows(
    query_BLHE: Tensor, key_BLHE: Tensor, value_BLHE: Tensor, where: Neighbourhood
) -> Tensor:
    """Attention inside each row under the neighbourhood's mask."""
    if query_BLHE.device.type == "cpu" and query_BLHE.dtype == torch.bfloat16:
        # torch's CPU kernel is several times slower backwards in bfloat16 than in float32.
        with torch.autocast("cpu", enabled=False):
            wide_BLHE = _masked_attention(
                query_BLHE.float(), key_BLHE.float(), value_BLHE.float(), where.mask_B1LL
            )
        return wide_BLHE.to(query_BLHE.dtype)
    return _masked_attention(query_BLHE, key_BLHE, value_BLHE, where.mask_B1LL)


def _masked_attention(
    query_BLHE: Tensor, key_BLHE: Tensor, value_BLHE: Tensor, mask_B1LL: Tensor | None
) -> Tensor:
    mixed_BHLE = functional.scaled_dot_product_attention(
        query_BLHE.transpose(1, 2),
        key_BLHE.transpose(1, 2),
        value_BLHE.transpose(1, 2),
        attn_mask=mask_B1LL,
    )
    return mixed_BHLE.transpose(1, 2)


def attend_stream(
    query_BLHE: Tensor, key_BLHE: Tensor, value_BLHE: Tensor, where: Neighbourhood
) -> Tensor:
    """Attention over the batch read as one stream of tokens, cut at its runs."""
    if where.runs is None:
        raise AssertionError("attention over the stream needs its runs")
    kernel: StreamKernel = flash_stream if query_BLHE.is_cuda else loop_stream
    mixed_NHE = kernel(
        query_BLHE.flatten(0, 1),
        key_BLHE.flatten(0, 1),
        value_BLHE.flatten(0, 1),
        where.runs,
        where.half_window,
    )
    return mixed_NHE.view_as(query_BLHE)


def flash_stream(
    query_NHE: Tensor, key_NHE: Tensor, value_NHE: Tensor, runs: Runs, half_window: int | None
) -> Tensor:
    """Flash attention over runs of different length; CUDA and half precision only.

    Runs of length zero (the repeated end of `runs.offsets_R1`) cost nothing. The window's ends
    are included on both sides.
    """
    window = (-1, -1) if half_window is None else (half_window, half_window)
    mixed_NHE = varlen_attn(
        query_NHE,
        key_NHE,
        value_NHE,
        runs.offsets_R1,
        runs.offsets_R1,
        runs.max_length,
        runs.max_length,
        window_size=window,
    )
    return cast(Tensor, mixed_NHE)  # a tuple only where auxiliary outputs are asked for


def loop_stream(
    query_NHE: Tensor, key_NHE: Tensor, value_NHE: Tensor, runs: Runs, half_window: int | None
) -> Tensor:
    """What `flash_stream` computes, run after run, on any device and in any precision."""
    offsets = runs.offsets_R1.tolist()
    mixed_NHE = torch.empty_like(query_NHE)
    for start, end in pairwise(offsets):
        if start == end:
            continue
        mask_LL = None if half_window is None else _band(end - start, half_window, query_NHE.device)
        mixed_NHE[start:end] = functional.scaled_dot_product_attention(
            query_NHE[start:end].transpose(0, 1)[None],
            key_NHE[start:end].transpose(0, 1)[None],
            value_NHE[start:end].transpose(0, 1)[None],
            attn_mask=mask_LL,
        )[0].transpose(0, 1)
    return mixed_NHE


def _band(length: int, half_window: int, device: torch.device) -> Tensor:
    places_L = torch.arange(length, device=device)
    return (places_L[:, None] - places_L[None, :]).abs() <= half_window
