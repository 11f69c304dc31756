"""Makes and trains an embedder's token vectors and weights, before its layers are."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.bag_tuning import BagSettings, train_bag
from model.corpus_vectors import corpus_vectors
from model.encoder import Encoder
from model.spans import SpanSampler
from model.token_weights import TokenWeights, rarity_weights
from model.tuning import Tuner
from tasks.stage import Reporter
from tasks.tune.config import TuneConfig
from tasks.tune.documents import TokenIds

_MOST_TOKENS = 20_000_000  # that starting vectors are made from; more would fill the memory


def starting_weights(documents: Sequence[TokenIds], kinds_V: NDArray[np.int64]) -> TokenWeights:
    """Weights by rarity; those of one kind of token weigh alike."""
    weights_C = rarity_weights(
        (kinds_V[document] for document in documents), int(kinds_V.max()) + 1
    )
    return TokenWeights(weights_C[torch.from_numpy(kinds_V)])


def start_tokens(
    encoder: Encoder, documents: Sequence[TokenIds], kinds_V: NDArray[np.int64], config: TuneConfig
) -> None:
    """Give the encoder the token vectors that the settings ask for.

    Those made from the documents start alike within a kind of token; the norms before and after
    the layers start anew with them, since what they scaled is gone.
    """
    if config.token_vectors == "pretrained":
        return
    table = encoder.embeddings.tok_embeddings.weight
    sample = [kinds_V[document] for document in _sampled(documents)]
    vectors_CD = corpus_vectors(sample, int(kinds_V.max()) + 1, table.shape[1], seed=config.seed)
    with torch.no_grad():
        table.copy_(vectors_CD[torch.from_numpy(kinds_V)])
        encoder.embeddings.norm.weight.fill_(1)
        encoder.final_norm.weight.fill_(1)


def train_token_vectors(
    tuner: Tuner, documents: Sequence[TokenIds], config: TuneConfig, report: Reporter
) -> None:
    """Train the encoder's token vectors and the weights as a bag.

    Without layers a span may be as long as its document leaves room for.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    lengths_T = np.array([len(document) for document in documents], dtype=np.int64)
    sampler = SpanSampler(
        lengths_T,
        documents_per_batch=min(config.bag_documents_per_batch, len(documents)),
        span_min_tokens=config.span_min_tokens,
        span_max_tokens=max(int(lengths_T.max()), config.span_min_tokens + 1),
        seed=config.seed,
    )
    train_bag(
        tuner.encoder,
        tuner.weights,
        lambda step: sampler.pairs(step).cut(documents),
        _settings(tuner, config),
        on_step=lambda step, _: report.progress(step, config.bag_steps, "bag steps"),
    )


def _sampled(documents: Sequence[TokenIds]) -> Sequence[TokenIds]:
    """All documents, or as many of them, evenly spread, as memory is meant for."""
    num_tokens = sum(map(len, documents))
    if num_tokens <= _MOST_TOKENS:
        return documents
    step = -(-num_tokens // _MOST_TOKENS)
    return documents[::step]


def _settings(tuner: Tuner, config: TuneConfig) -> BagSettings:
    return BagSettings(
        max_steps=config.bag_steps,
        learning_rate=config.bag_learning_rate,
        weight_learning_rate=config.weight_learning_rate,
        temperature=config.temperature,
        matryoshka_dims=tuner.settings.matryoshka_dims,
        token_dropout=config.token_dropout,
        seed=config.seed,
    )
