"""Multi-head self-attention inside sequences: over rows, over one stream of tokens, or in blocks.

Letters: B rows, L positions, N = B·L tokens of the stream, M of them, D hidden width, H heads,
E head size, F half of it, R runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.batch import Batch, Runs
from model.block_attention import BlockNeighbourhood, attend_blocks, block_neighbourhood
from model.blocks import Extents
from model.config import EncoderConfig
from model.head_order import Turn
from model.rotary import rotary_table, rotate, wide

STRETCH = 256  # queries of a windowed layer computed at once


@dataclass(frozen=True)
class Stream:
    """Who sees whom where the batch is read as one stream of tokens, cut at its runs.

    Attributes:
        asking: where each run's queries lie; the same as `runs` where all tokens ask.
        runs: where each run's tokens lie.
        half_window: how far a position sees to each side; None = its whole run. Where there is
            one, all tokens ask.
    """

    asking: Runs
    runs: Runs
    half_window: int | None


@dataclass(frozen=True)
class Neighbourhood:
    """Who sees whom in one kind of layer; made once a batch and shared by its layers.

    Attributes:
        cos_BLF: float32 rotary table.
        sin_BLF: float32 rotary table.
        half_window: how far a position sees to each side; None = the whole sequence.
        mask_B1LL: bool, True = attends; only where attention runs over rows.
        runs: where attention starts anew; only where it runs over the stream.
        blocks: the same as blocks; only where it runs over them.
    """

    cos_BLF: Tensor
    sin_BLF: Tensor
    half_window: int | None
    mask_B1LL: Tensor | None = None
    runs: Runs | None = None
    blocks: BlockNeighbourhood | None = None

    @property
    def lets_some_ask(self) -> bool:
        """Whether queries of other tokens can be left out: kernels of the stream place a window by
        the number of a query in its run."""
        return self.blocks is not None or (self.runs is not None and self.half_window is None)


def neighbourhood(
    batch: Batch,
    config: EncoderConfig,
    *,
    full: bool,
    over: tuple[Extents, ...] | Literal["rows", "stream"],
) -> Neighbourhood:
    """Rotary table, and mask, runs or blocks of `batch`, for full or windowed layers."""
    theta = config.global_rope_theta if full else config.local_rope_theta
    half_window = None if full else config.half_window
    tables = rotary_table(batch.positions_BL, head_size=config.head_size, theta=theta)
    if over == "rows":
        return Neighbourhood(*tables, half_window, mask_B1LL=attention_mask(batch, half_window))
    if over == "stream":
        return Neighbourhood(*tables, half_window, runs=batch.runs)
    cos_NF, sin_NF = (table.flatten(0, 1) for table in tables)
    blocks = block_neighbourhood(over, Turn(cos_NF, sin_NF), half_window)
    return Neighbourhood(*tables, half_window, blocks=blocks)


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
        if positions_M is not None and where.lets_some_ask:
            gathered_BLD = self._ask(hidden_BLD, where, positions_M)
        else:
            gathered_BLD = at(self._attend(hidden_BLD, where), positions_M)
        output_BLD: Tensor = self.Wo(gathered_BLD)
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

    def _ask(self, hidden_BLD: Tensor, where: Neighbourhood, positions_M: Tensor) -> Tensor:
        """What `positions_M` gather, ``gathered_MD``, without queries of the others."""
        width = hidden_BLD.shape[-1]
        heads = self.num_heads, width // self.num_heads
        query_weight, other_weight = torch.split(self.Wqkv.weight, [width, 2 * width])
        ascending_M, order_M = positions_M.sort(stable=True)
        query_MD = functional.linear(at(hidden_BLD, ascending_M), query_weight)
        query_M1HE = query_MD.view(len(query_MD), 1, *heads)
        mixed_NX = functional.linear(hidden_BLD.flatten(0, 1), other_weight)
        mixed_N2HE = mixed_NX.view(len(mixed_NX), 2, *heads)
        if where.blocks is not None:
            gathered_MHE = attend_blocks(mixed_N2HE, where.blocks.asked(ascending_M), query_M1HE)
        else:
            gathered_MHE = _ask_stream(query_M1HE[:, 0], mixed_N2HE, where, ascending_M)
        return gathered_MHE.flatten(1).index_select(0, order_M.argsort())

    def _attend(self, hidden_BLD: Tensor, where: Neighbourhood) -> Tensor:
        if where.blocks is not None:
            mixed_N3HE = self._mix(hidden_BLD).flatten(0, 1)
            return attend_blocks(mixed_N3HE, where.blocks).view(hidden_BLD.shape)
        query_BLHE, key_BLHE, value_BLHE = self._project(hidden_BLD, where)
        if where.runs is None:
            attend = partial(attend_rows, mask_B1LL=where.mask_B1LL)
            return _in_kernel_dtype(attend, query_BLHE, key_BLHE, value_BLHE).flatten(2)
        attend = partial(attend_stream, stream=Stream(where.runs, where.runs, where.half_window))
        parts = (part.flatten(0, 1) for part in (query_BLHE, key_BLHE, value_BLHE))
        return _in_kernel_dtype(attend, *parts).reshape(hidden_BLD.shape)

    def _mix(self, hidden_BLD: Tensor) -> Tensor:
        mixed_BLX: Tensor = self.Wqkv(hidden_BLD)
        return mixed_BLX.view(*mixed_BLX.shape[:2], 3, self.num_heads, -1)

    def _project(self, hidden_BLD: Tensor, where: Neighbourhood) -> tuple[Tensor, Tensor, Tensor]:
        # Unbinding, not slicing: its gradient is one copy, where slices each fill a whole tensor.
        query_BLHE, key_BLHE, value_BLHE = self._mix(hidden_BLD).unbind(2)
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


def _ask_stream(
    query_MHE: Tensor, mixed_N2HE: Tensor, where: Neighbourhood, positions_M: Tensor
) -> Tensor:
    """What the ascending `positions_M` gather from their runs, ``gathered_MHE``."""
    if where.runs is None:
        raise AssertionError("attention over the stream needs its runs")
    cos_N1F, sin_N1F = (table.flatten(0, 1)[:, None] for table in (where.cos_BLF, where.sin_BLF))
    key_NHE, value_NHE = mixed_N2HE.unbind(1)
    stream = Stream(where.runs.of(positions_M), where.runs, where.half_window)
    return _in_kernel_dtype(
        partial(attend_stream, stream=stream),
        rotate(query_MHE, cos_N1F[positions_M], sin_N1F[positions_M]),
        rotate(key_NHE, cos_N1F, sin_N1F),
        value_NHE,
    )


def _in_kernel_dtype(attend: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """What `attend` makes of queries, keys and values, in their dtype.

    torch's CPU kernel is several times slower backwards in bfloat16 than in float32.
    """
    dtype = parts[0].dtype
    if parts[0].device.type != "cpu":
        return attend(*parts)
    with torch.autocast("cpu", enabled=False):
        return attend(*map(wide, parts)).to(dtype)


def attend_rows(
    query_BLHE: Tensor, key_BLHE: Tensor, value_BLHE: Tensor, mask_B1LL: Tensor | None
) -> Tensor:
    """Attention inside each row under the neighbourhood's mask."""
    mixed_BHLE = functional.scaled_dot_product_attention(
        query_BLHE.transpose(1, 2),
        key_BLHE.transpose(1, 2),
        value_BLHE.transpose(1, 2),
        attn_mask=mask_B1LL,
    )
    return mixed_BHLE.transpose(1, 2)


def attend_stream(query_MHE: Tensor, key_NHE: Tensor, value_NHE: Tensor, stream: Stream) -> Tensor:
    """What the M tokens that ask gather from all N, ``mixed_MHE``."""
    kernel = flash_stream if query_MHE.is_cuda else loop_stream
    return kernel(query_MHE, key_NHE, value_NHE, stream)


def flash_stream(query_MHE: Tensor, key_NHE: Tensor, value_NHE: Tensor, stream: Stream) -> Tensor:
    """Flash attention over runs of different length; CUDA and half precision only.

    Runs of length zero (the repeated end of `Runs.offsets_R1`) cost nothing. The window's ends are
    included on both sides.
    """
    # Here, because it loads torch's compiler, which takes as long as everything else.
    from torch.nn.attention.varlen import varlen_attn

    half = stream.half_window
    mixed_MHE = varlen_attn(
        query_MHE,
        key_NHE,
        value_NHE,
        stream.asking.offsets_R1,
        stream.runs.offsets_R1,
        stream.asking.max_length,
        stream.runs.max_length,
        window_size=(-1, -1) if half is None else (half, half),
    )
    return cast(Tensor, mixed_MHE)  # a tuple only where auxiliary outputs are asked for


def loop_stream(query_MHE: Tensor, key_NHE: Tensor, value_NHE: Tensor, stream: Stream) -> Tensor:
    """What `flash_stream` computes, run after run, on any device and in any precision.

    Windowed attention goes through a run in stretches of queries and sees only the keys that some
    of them see: time and memory grow with length times window, not with length squared.
    """
    half = stream.half_window
    asking, runs = (pairwise(cut.offsets_R1.tolist()) for cut in (stream.asking, stream.runs))
    parts = [
        _stretch(query_MHE, key_NHE, value_NHE, (first, min(first + step, end)), run, half)
        for (start, end), run in zip(asking, runs, strict=True)
        for step in [max(1, end - start) if half is None else max(STRETCH, half)]
        for first in range(start, end, step)
    ]
    return torch.cat(parts) if parts else query_MHE  # where nobody asks


def _stretch(
    query_MHE: Tensor,
    key_NHE: Tensor,
    value_NHE: Tensor,
    asked: tuple[int, int],
    run: tuple[int, int],
    half_window: int | None,
) -> Tensor:
    """What the queries from `asked[0]` to `asked[1]`, of one run, gather."""
    seen, mask_QL = run, None
    if half_window is not None:
        seen = max(run[0], asked[0] - half_window), min(run[1], asked[1] + half_window)
        places_Q, places_L = (
            torch.arange(*ends, device=query_MHE.device) for ends in (asked, seen)
        )
        mask_QL = (places_Q[:, None] - places_L[None, :]).abs() <= half_window
    mixed_1HQE = functional.scaled_dot_product_attention(
        query_MHE[slice(*asked)].transpose(0, 1)[None],
        key_NHE[slice(*seen)].transpose(0, 1)[None],
        value_NHE[slice(*seen)].transpose(0, 1)[None],
        attn_mask=mask_QL,
    )
    return mixed_1HQE[0].transpose(0, 1)
