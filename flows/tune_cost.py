"""What tuning costs: the bag of token vectors, the updates of the encoder, the validations."""

import math
from collections.abc import Sequence
from statistics import fmean

from flows.amounts import Amounts
from flows.config import PipelineConfig
from flows.speed import Speed
from tasks.pretrain.sizes import encoder_flops_per_token
from tasks.tune.config import TuneConfig

TUNE_S = 5.0
# A bag's update reads tokens and writes the whole table: 700 pairs of spans of 100 tokens and a
# table of 4096 x 128 took 0.04 s.
BAG_S_PER_NUMBER_READ, BAG_S_PER_NUMBER_WRITTEN = 4e-9, 1e-8
NUM_QUANTILES = 16
SPECIALS = 2


def tuning_s(config: PipelineConfig, amounts: Amounts, speed: Speed, *, left: float = 1.0) -> float:
    """Seconds of the stage, checkpoints' writing aside, if it trains all its steps.

    Args:
        config: the settings.
        amounts: what it reads.
        speed: of matrices.
        left: part of the updates that are done; it stops where validation gains no more.
    """
    tune = config.tune
    flops = tuning_tokens(config, amounts) * tuning_flops_per_token(config, amounts)
    validated = min(tune.validation_documents, amounts.num_documents * amounts.validation_frac)
    num_validations = left * tune.num_checkpoints + 2
    validation_tokens = num_validations * validated * amounts.document_tokens
    updates_s = left * speed.tuning_s(config, flops)
    return TUNE_S + updates_s + _bag_s(config, amounts) + speed.encode_s(config, validation_tokens)


def tuning_tokens(config: PipelineConfig, amounts: Amounts) -> float:
    """How many tokens all updates of the encoder read."""
    num_documents = max(amounts.num_documents * amounts.train_frac, 1.0)
    per_update = min(config.tune.documents_per_batch, num_documents)
    return config.tune.max_steps * per_update * _pair_tokens(config, amounts)


def tuning_flops_per_token(config: PipelineConfig, amounts: Amounts) -> float:
    """Operations that a token of a span costs in all layers, forwards and backwards."""
    span_tokens = round(_pair_tokens(config, amounts) / 2)
    return encoder_flops_per_token(config.pretrain.shape, row_tokens=span_tokens)


def mean_pair_tokens(tune: TuneConfig, lengths: Sequence[float], *, window_tokens: int) -> float:
    """Tokens in the two spans of a document, on average; see `model.spans`.

    Args:
        tune: the settings.
        lengths: tokens of documents; those too short for two spans are left out.
        window_tokens: the most that a window holds, special tokens included.
    """
    shortest = tune.span_min_tokens
    longest = min(tune.span_max_tokens, window_tokens - SPECIALS)
    usable = [length for length in lengths if length > 2 * shortest]
    return fmean(_pair(shortest, longest, length) for length in usable or [2 * shortest + 1])


def _pair(shortest: int, longest: int, length: float) -> float:
    """Both spans' tokens, on average over how long the longer one is drawn."""
    low, high = shortest + 1, min(longest, length - shortest)
    longs = [low + (high - low) * each for each in _evenly_within_one()]
    return fmean(long + (shortest + min(long - 1, length - long)) / 2 for long in longs)


def _evenly_within_one() -> list[float]:
    return [(place + 0.5) / NUM_QUANTILES for place in range(NUM_QUANTILES)]


def _pair_tokens(config: PipelineConfig, amounts: Amounts) -> float:
    """Lengths of documents are taken to be spread as waiting times are: many short, a few long."""
    lengths = [-amounts.document_tokens * math.log(1.0 - each) for each in _evenly_within_one()]
    window_tokens = config.tune.max_window_tokens or config.tokenize.row_tokens
    return mean_pair_tokens(config.tune, lengths, window_tokens=window_tokens)


def _bag_s(config: PipelineConfig, amounts: Amounts) -> float:
    tune, width = config.tune, config.pretrain.shape.hidden_size
    num_documents = min(tune.bag_documents_per_batch, amounts.num_documents * amounts.train_frac)
    read = num_documents * _pair_tokens(config, amounts) * width
    written = config.vocab.vocab_size * width
    return tune.bag_steps * (BAG_S_PER_NUMBER_READ * read + BAG_S_PER_NUMBER_WRITTEN * written)
