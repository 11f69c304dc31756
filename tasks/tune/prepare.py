"""Puts a tuning run together from the settings and the upstream artifacts."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from model.config import EncoderConfig
from model.embedding import SPECIALS_PER_WINDOW
from model.encoder import Encoder
from model.errors import CorpusError, RequestError
from model.huggingface import load_encoder
from model.initialization import scale_branches
from model.spans import SpanSampler
from model.token_weights import TokenWeights
from model.tuning import Tuner, TuningSettings
from tasks.embedder import EmbedderSummary, load_tokenizer
from tasks.runtime.devices import pick_device, pick_precision
from tasks.stage import Reporter, StageContext
from tasks.token_weight_files import WEIGHTED_MEAN
from tasks.tokens import TokenizedCorpus
from tasks.tune.bag import start_tokens, starting_weights, train_token_vectors
from tasks.tune.config import TuneConfig, refuse_layer_above
from tasks.tune.documents import Usable, training_documents, validation_documents
from tasks.tune.folder import write_embedder
from tasks.tune.token_kinds import token_kinds
from tasks.tune.training import TuningRun
from tasks.tune.validation import HalfDocuments

CHECKPOINTS = "checkpoints"
_LEAST_VALIDATION_DOCUMENTS = 2


def prepare(context: StageContext) -> TuningRun:
    """The run that the context asks for, not started.

    Raises:
        CorpusError: too few documents are long enough for two spans, or there are none to choose
            a layer by.
        RequestError: dimensions, windows or a layer that the encoder does not have.
        ArtifactError: an input is damaged.
    """
    config: TuneConfig = context.config
    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    pretrained = context.inputs["pretrain"].path
    encoder = _first_layers(load_encoder(pretrained), config).to(device)
    scale_branches(encoder, config.branch_scale)
    about = describe(config, encoder.config)
    tokens = TokenizedCorpus(context.inputs["tokenize"].path)
    usable = training_documents(tokens.documents("train"), config, context.report)
    kinds_V = token_kinds(load_tokenizer(pretrained / "tokenizer.json"), encoder.config.vocab_size)
    weights = starting_weights(usable.documents, kinds_V).to(device)
    tuner = Tuner(encoder, weights, tuning_settings(config, about), precision=precision)
    return TuningRun(
        tuner=tuner,
        start_tokens=partial(start_tokens, encoder, usable.documents, kinds_V, config),
        train_bag=partial(train_token_vectors, tuner, usable.documents, config, context.report),
        sampler=_sampler(usable, config, about, context.report),
        documents=usable.documents,
        validation=_validation(tokens, config, about, precision, context.report),
        num_checkpoints=config.num_checkpoints,
        patience=config.patience,
        folder=context.output / CHECKPOINTS,
        write_embedder=partial(_write_embedder, weights, about, pretrained),
        report=context.report,
    )


def _first_layers(encoder: Encoder, config: TuneConfig) -> Encoder:
    if not isinstance(config.layer, int):
        return encoder
    refuse_layer_above(config, encoder.config.num_layers)
    return encoder.cut(config.layer)


def _write_embedder(
    weights: TokenWeights, about: EmbedderSummary, pretrained: Path, encoder: Encoder, folder: Path
) -> None:
    about = replace(about, layer=encoder.config.num_layers)
    write_embedder(folder, encoder, weights().detach(), about, pretrained)


def describe(config: TuneConfig, encoder: EncoderConfig) -> EmbedderSummary:
    """What the embedder will be.

    Raises:
        RequestError: wider dimensions, or longer windows, than the encoder's.
    """
    dim, longest = encoder.hidden_size, encoder.max_position_embeddings
    dims = config.matryoshka_dims or (dim, dim // 2, dim // 4)
    window = config.max_window_tokens or longest
    if max(dims) > dim:
        raise RequestError(
            f"tune.matryoshka_dims = {max(dims)} is more than the {dim} dimensions of the "
            "encoder: leave it out or raise pretrain.hidden_size"
        )
    if window > longest:
        raise RequestError(
            f"tune.max_window_tokens = {window} is more than the {longest} positions the encoder "
            "was trained on: lower it or raise tokenize.row_tokens"
        )
    return EmbedderSummary(
        pooling=WEIGHTED_MEAN,
        dim=dim,
        matryoshka_dims=sorted({*dims, dim}, reverse=True),
        max_window_tokens=window,
        layer=encoder.num_layers,
    )


def tuning_settings(config: TuneConfig, about: EmbedderSummary) -> TuningSettings:
    """The part of the settings that an update depends on."""
    return TuningSettings(
        max_steps=config.max_steps,
        learning_rate=config.learning_rate,
        embedding_learning_rate=config.embedding_learning_rate,
        weight_learning_rate=config.weight_learning_rate,
        warmup_frac=config.warmup_frac,
        weight_decay=config.weight_decay,
        temperature=config.temperature,
        matryoshka_dims=tuple(about.matryoshka_dims),
    )


def _sampler(
    usable: Usable, config: TuneConfig, about: EmbedderSummary, report: Reporter
) -> SpanSampler:
    capacity = about.max_window_tokens - SPECIALS_PER_WINDOW
    num_documents = len(usable.documents)
    if capacity < config.span_max_tokens:
        report.message(f"tune draws spans of at most {capacity} tokens, all that a window holds")
    if num_documents < config.documents_per_batch:
        report.warning(
            f"tune.documents_per_batch = {config.documents_per_batch} is more than the "
            f"{num_documents} documents there are: each update uses all of them"
        )
    if capacity <= config.span_min_tokens:
        raise RequestError(
            f"tune.span_min_tokens = {config.span_min_tokens} leaves no span inside a window of "
            f"{capacity} tokens: lower it"
        )
    return SpanSampler(
        np.array([len(document) for document in usable.documents], dtype=np.int64),
        documents_per_batch=min(config.documents_per_batch, num_documents),
        span_min_tokens=config.span_min_tokens,
        span_max_tokens=min(config.span_max_tokens, capacity),
        seed=config.seed,
    )


def _validation(
    tokens: TokenizedCorpus,
    config: TuneConfig,
    about: EmbedderSummary,
    precision: torch.dtype,
    report: Reporter,
) -> HalfDocuments | None:
    documents = validation_documents(tokens.documents("validation"), config)
    if len(documents) < _LEAST_VALIDATION_DOCUMENTS:
        what = (
            f"{len(documents)} validation documents have {2 * config.span_min_tokens + 1} tokens "
            "or more"
        )
        if config.layer == "best":
            raise CorpusError(
                f"tune.layer = best cannot be chosen: {what}; name a layer or give ingest a larger "
                "validation split"
            )
        report.warning(f"tune cannot measure recall: {what}")
        return None
    return HalfDocuments(documents, about.max_window_tokens, precision)
