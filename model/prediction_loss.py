"""The decoder and its cross-entropy in one: no more of the logits exists than is worked on.

The gradient of the logits is softmax minus one-hot, so it is made where the logits are, in the
forward pass; what is kept is the gradient of hidden states, decoder and bias (the idea of Hsu et
al. 2024, "Liger Kernel", section 3.2).

A processor works on slices that stay in its cache, step after step in place. A GPU has no such
cache, and each step would read and write all of the logits: there `logit_gradients` is compiled,
which makes two or three passes of it.

Letters: M masked positions, D hidden width, V vocabulary, P positions of a part, C of a slice.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.rotary import wide

IGNORED = -100  # the target of a position that does not count
PART_NUMBERS = 2**27  # of logits whose gradient is kept at once
COMPILED_PART_NUMBERS = 2**28  # and of logits that a compiled function is given
CPU_SLICE_NUMBERS = 2**21  # of logits that stay in a processor's cache while they are worked on


LogitGradients = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def prediction_loss(
    hidden_MD: Tensor,
    decoder_VD: Tensor,
    bias_V: Tensor,
    targets_M: Tensor,
    compiled: LogitGradients | None = None,
) -> Tensor:
    """Cross-entropy in nats, float32, summed over the targets that are not `IGNORED`.

    Matrix products run in the dtype of `hidden_MD`, exponentials and sums in float32 at least.

    Args:
        hidden_MD: what the decoder reads.
        decoder_VD: a row a token of the vocabulary.
        bias_V: of the decoder.
        targets_M: int64.
        compiled: `logit_gradients`, compiled, to work with.
    """
    summed: Callable[..., Tensor] = _PredictionLoss.apply
    return summed(hidden_MD, decoder_VD.to(hidden_MD.dtype), bias_V, targets_M, compiled)


def logit_gradients(
    logits_PV: Tensor, bias_V: Tensor, targets_P: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss and gradients at logits that still lack their bias; to be compiled.

    Returns:
        The summed loss, the gradient of the logits in their dtype, and that of the bias.
    """
    scores_PV = wide(logits_PV) + bias_V
    counts_P = targets_P != IGNORED
    log_sums_P = scores_PV.logsumexp(dim=1)
    asked_P = scores_PV.gather(1, targets_P.clamp(min=0)[:, None])[:, 0]
    loss = (log_sums_P - asked_P).where(counts_P, 0.0).sum()
    is_target_PV = torch.arange(len(bias_V), device=bias_V.device) == targets_P[:, None]
    d_scores_PV = (scores_PV - log_sums_P[:, None]).exp() - is_target_PV.to(scores_PV.dtype)
    d_scores_PV = d_scores_PV.where(counts_P[:, None], 0.0)
    return loss, d_scores_PV.to(logits_PV.dtype), d_scores_PV.sum(dim=0)


class _PredictionLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_MD: Tensor,
        decoder_VD: Tensor,
        bias_V: Tensor,
        targets_M: Tensor,
        compiled: LogitGradients | None,
    ) -> Tensor:
        loss = wide(hidden_MD).new_zeros(())
        d_hidden_MD = torch.empty_like(hidden_MD)
        d_decoder_VD, d_bias_V = None, torch.zeros_like(bias_V)
        part_numbers = COMPILED_PART_NUMBERS if compiled else PART_NUMBERS
        part_rows = max(1, part_numbers // len(decoder_VD))
        for start in range(0, len(hidden_MD), part_rows):
            hidden_PD = hidden_MD[start : start + part_rows]
            targets_P = targets_M[start : start + part_rows]
            if compiled:
                logits_PV = torch.mm(hidden_PD, decoder_VD.mT)
                part_loss, d_logits_PV, part_V = compiled(logits_PV, bias_V, targets_P)
                loss += part_loss
                d_bias_V += part_V
            else:
                d_logits_PV = hidden_PD.new_empty(len(hidden_PD), len(decoder_VD))
                loss += _sliced(hidden_PD, decoder_VD, bias_V, targets_P, d_logits_PV, d_bias_V)
            torch.mm(d_logits_PV, decoder_VD, out=d_hidden_MD[start : start + part_rows])
            part_VD = torch.mm(d_logits_PV.mT, hidden_PD)
            d_decoder_VD = part_VD if d_decoder_VD is None else wide(d_decoder_VD) + part_VD
        if d_decoder_VD is None:  # no positions at all
            d_decoder_VD = torch.zeros_like(decoder_VD)
        ctx.decoder_dtype = decoder_VD.dtype
        ctx.save_for_backward(d_hidden_MD, d_decoder_VD, d_bias_V)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden_MD, d_decoder_VD, d_bias_V = ctx.saved_tensors
        scale = grads[0]
        return (
            (d_hidden_MD * scale).to(d_hidden_MD.dtype),
            (d_decoder_VD * scale).to(ctx.decoder_dtype),
            d_bias_V * scale,
            None,
            None,
        )


def _sliced(
    hidden_PD: Tensor,
    decoder_VD: Tensor,
    bias_V: Tensor,
    targets_P: Tensor,
    d_logits_PV: Tensor,
    d_bias_V: Tensor,
) -> Tensor:
    """The loss; fills `d_logits_PV` and adds to `d_bias_V`."""
    slice_rows = max(1, len(hidden_PD))
    if hidden_PD.device.type == "cpu":
        slice_rows = max(1, CPU_SLICE_NUMBERS // len(decoder_VD))
    loss = wide(hidden_PD).new_zeros(())
    for start in range(0, len(hidden_PD), slice_rows):
        places = slice(start, start + slice_rows)
        logits_CV = wide(torch.mm(hidden_PD[places], decoder_VD.mT)).add_(bias_V)
        loss += _replace_by_gradient(logits_CV, targets_P[places])
        d_bias_V += logits_CV.sum(dim=0)
        d_logits_PV[places] = logits_CV
    return loss


def _replace_by_gradient(logits_CV: Tensor, targets_C: Tensor) -> Tensor:
    """Turns logits into their gradient, in place; returns the loss."""
    counts_C1 = (targets_C != IGNORED)[:, None]
    targets_C1 = targets_C.clamp(min=0)[:, None]
    log_sums_C1 = logits_CV.logsumexp(dim=1, keepdim=True)
    losses_C1 = (log_sums_C1 - logits_CV.gather(1, targets_C1)).where(counts_C1, 0.0)
    # What does not count gets probabilities of exp(-infinity), and nothing taken off the target.
    logits_CV.sub_(log_sums_C1.masked_fill(~counts_C1, float("inf"))).exp_()
    logits_CV.scatter_add_(1, targets_C1, -counts_C1.to(logits_CV.dtype))
    return losses_C1.sum()
