"""Contrastive training of token vectors and their weights without any layer: a bag of tokens.

What a document's vector is without context costs a hundredth of an encoder's pass, so all
documents can be each other's negatives. The encoder then has to find only what context adds.

Shape letters: P pairs, S spans (all first ones, then all second ones), N tokens of all spans,
U different tokens among them, D hidden width, V tokens of the vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.contrastive import contrastive_loss
from model.counter import Purpose, random_words, uniform
from model.encoder import Encoder
from model.errors import TrainingError
from model.finite import are_finite
from model.schedule import rate_factor
from model.token_weights import TokenWeights

Spans = Sequence[NDArray[Any]]

_WARMUP_FRAC = 0.02
_FEW_TOKENS = 16  # fewer say too little of what their document is about


@dataclass(frozen=True, kw_only=True)
class BagSettings:
    """What an update depends on besides its spans.

    Attributes:
        max_steps: updates of the whole run; the rates end at zero there.
        learning_rate: of AdamW for token vectors, which begin with length one.
        weight_learning_rate: the same for the logarithms of the tokens' weights.
        temperature: of the contrastive loss.
        matryoshka_dims: prefixes of the vector that are trained.
        token_dropout: share of each span's tokens left out, so that no few words are relied on.
        seed: of what is left out.
    """

    max_steps: int
    learning_rate: float
    weight_learning_rate: float
    temperature: float
    matryoshka_dims: tuple[int, ...]
    token_dropout: float
    seed: int


def train_bag(
    encoder: Encoder,
    weights: TokenWeights,
    draw: Callable[[int], tuple[Spans, Spans]],
    settings: BagSettings,
    *,
    on_step: Callable[[int, float], None],
) -> None:
    """Train the encoder's token vectors and the weights in place; its layers stay as they are.

    Args:
        draw: the span pairs of a step; a pure function of it.
        on_step: hears, after each update, how many are done and the loss of the last, in nats.

    Raises:
        TrainingError: the loss, a gradient or a weight is no longer finite.
    """
    learned = [encoder.embeddings.tok_embeddings.weight, weights.log_weights_V]
    optimizer = _optimizer(learned, [settings.learning_rate, settings.weight_learning_rate])
    for step in range(settings.max_steps):
        progress = (step + 0.5) / settings.max_steps
        factor = rate_factor(progress, warmup_frac=_WARMUP_FRAC, decay_frac=1 - _WARMUP_FRAC)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak_lr"]
        loss = _loss(encoder, weights, draw(step), settings, step)
        gradients = torch.autograd.grad(loss, learned)
        if not all(torch.isfinite(each).all() for each in (loss, *gradients)):
            raise TrainingError(
                f"tune, token vectors, step {step}: the loss is {loss.item():.4g} or has no "
                "gradient: lower tune.bag_learning_rate or tune.weight_learning_rate, or raise "
                "tune.temperature"
            )
        for parameter, gradient in zip(learned, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        if not are_finite(learned):
            raise TrainingError(
                f"tune, token vectors, step {step}: the update leaves weights that are not finite: "
                "run it again, and if that does not help lower tune.bag_learning_rate and "
                "tune.weight_learning_rate"
            )
        optimizer.zero_grad(set_to_none=True)
        on_step(step + 1, float(loss.item()))


def _optimizer(learned: Sequence[Tensor], peak_rates: Sequence[float]) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [
            {"params": [parameter], "peak_lr": rate}
            for parameter, rate in zip(learned, peak_rates, strict=True)
        ],
        lr=0.0,
        betas=(0.9, 0.99),  # few updates: the default's memory is ten times as long as the run
        weight_decay=0.0,
        fused=True,
    )


def bag_states(encoder: Encoder, token_ids_U: Tensor) -> Tensor:
    """What the encoder gives for tokens if no layer adds anything, [U, D]."""
    states_UD: Tensor = encoder.final_norm(encoder.embeddings(token_ids_U[None])[0])
    return states_UD


def _loss(
    encoder: Encoder,
    weights: TokenWeights,
    pairs: tuple[Spans, Spans],
    settings: BagSettings,
    step: int,
) -> Tensor:
    firsts, seconds = pairs
    spans_N, ids_N = thinned(
        [*firsts, *seconds], dropout=settings.token_dropout, seed=settings.seed, step=step
    )
    tokens_U, places_N = np.unique(ids_N, return_inverse=True)
    device = weights.log_weights_V.device
    ids_U = torch.from_numpy(tokens_U.astype(np.int64)).to(device)
    table_UD = bag_states(encoder, ids_U) * weights()[ids_U][:, None]
    where_2N = torch.from_numpy(np.stack([spans_N, places_N])).to(device)
    shape = (len(firsts) + len(seconds), len(tokens_U))
    ones_N = torch.ones(len(ids_N), device=device)
    counts_SU = torch.sparse_coo_tensor(where_2N, ones_N, shape, check_invariants=False).coalesce()
    vectors_SD = torch.sparse.mm(counts_SU, table_UD)
    return contrastive_loss(
        vectors_SD[: len(firsts)],
        vectors_SD[len(firsts) :],
        temperature=settings.temperature,
        dims=settings.matryoshka_dims,
    )


def thinned(
    spans: Spans, *, dropout: float, seed: int, step: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The tokens that are left of spans when some are dropped, one of each span at least.

    Args:
        spans: token ids, at least one each.
        dropout: the chance of each token to go, below 1; less in spans so short that about
            sixteen tokens would not be left.

    Returns:
        spans_N: int64, which span each token is of, ascending.
        ids_N: the tokens.
    """
    lengths_S = np.array([len(span) for span in spans])
    spans_N = np.repeat(np.arange(len(spans)), lengths_S)
    num_tokens = int(lengths_S.sum())
    words_N = random_words(
        num_tokens, purpose=Purpose.TOKEN_DROPOUT, seed=seed, epoch=0, index=step
    )
    chances_N = uniform(words_N)
    # The luckiest token of a span stays whatever happens.
    best_S = np.maximum.reduceat(chances_N, np.cumsum(lengths_S) - lengths_S)
    dropout_S = np.minimum(dropout, np.maximum(0.0, 1 - _FEW_TOKENS / lengths_S))
    kept_N = (chances_N >= dropout_S[spans_N]) | (chances_N == best_S[spans_N])
    return spans_N[kept_N], np.concatenate(spans)[kept_N]
