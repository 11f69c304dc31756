"""One pretraining run put together: model, data, checkpoints and who hears of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.config import EncoderConfig
from model.course import TrainingSettings
from model.errors import RequestError
from model.huggingface import save_masked_lm
from model.initialization import predict_frequencies
from model.mlm import MaskedLanguageModel
from model.neighbour_heads import look_at_neighbours
from model.optimizers import Optimizers, OptimizerSettings
from model.ranks import ALONE, Ranks
from model.training import Training, TrainingHooks
from model.validation import Validation, unigram_loss
from tasks.pretrain.bad_batch import write_failed_batch
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.data import PretrainingData
from tasks.pretrain.guesses import GUESSES_FILE, Guesses, guesses_page
from tasks.pretrain.initial import initial_encoder, initial_model, sources
from tasks.pretrain.saved import CHECKPOINTS, SavedStates
from tasks.pretrain.sizes import training_flops_per_token
from tasks.pretrain.tokenizer_files import TOKENIZER_FILE, TokenizerFiles, read_tokenizer
from tasks.runtime.devices import peak_flops, pick_device, pick_precision
from tasks.stage import Reporter, StageContext
from tasks.tokens import TokenizedCorpus, TokensSummary


@dataclass(frozen=True)
class PretrainingRun:
    """Everything that stays the same from the first update to the last.

    Attributes:
        context: the stage's.
        tokens: the tokenized corpus.
        encoder: sizes of the encoder.
        device: where to compute.
        precision: of the matrix products.
        ranks: who trains together.
    """

    context: StageContext
    tokens: TokenizedCorpus
    encoder: EncoderConfig
    device: torch.device
    precision: torch.dtype
    ranks: Ranks = ALONE

    @property
    def config(self) -> PretrainConfig:
        """The stage's settings."""
        config: PretrainConfig = self.context.config
        return config

    @property
    def report(self) -> Reporter:
        """Who hears of the run."""
        return self.context.report

    @cached_property
    def tokenizer(self) -> TokenizerFiles:
        """The vocabulary's files."""
        return TokenizerFiles(self._vocabulary, self.encoder)

    @cached_property
    def model(self) -> MaskedLanguageModel:
        """The model, on its device, without weights; compiled where the settings say so."""
        model = MaskedLanguageModel(self.encoder).to(self.device)
        if self.compiled:
            model.compile_parts()
        return model

    @cached_property
    def optimizers(self) -> Optimizers:
        """The optimizers of the model."""
        return Optimizers(
            self.model,
            OptimizerSettings(
                learning_rate=self.config.rates.learning_rate,
                muon_learning_rate=self.config.rates.muon_learning_rate,
                weight_decay=self.config.weight_decay,
                grad_clip=self.config.grad_clip,
                muon_dtype=self.precision,
                has_muon=self.config.optimizer == "muon",
                num_heads=self.encoder.num_heads,
            ),
        )

    @cached_property
    def saved(self) -> SavedStates:
        """The run's checkpoints."""
        return SavedStates(
            folder=self.context.output / CHECKPOINTS,
            model=self.model,
            optimizers=self.optimizers,
            fingerprint=self._fingerprint(),
            ranks=self.ranks,
            report=self.report,
            write_beside=self.tokenizer.write,
        )

    @cached_property
    def data(self) -> PretrainingData:
        """What it learns from and is examined on."""
        return PretrainingData(self.config, self.tokens, self._vocabulary, self.encoder)

    @cached_property
    def validation(self) -> Validation:
        """The examination, with its batches made once."""
        return Validation(
            batches=self.data.validation_batches(),
            token_bytes_V=torch.tensor(self.tokenizer.token_bytes(self.encoder.vocab_size)),
            device=self.device,
            precision=self.precision,
            ranks=self.ranks,
        )

    @cached_property
    def guesses(self) -> Guesses:
        """Passages of validation that show what the model does."""
        return Guesses.of(
            self.validation.batches,
            read_tokenizer(self._vocabulary),
            device=self.device,
            precision=self.precision,
            seed=self.config.seed,
        )

    @property
    def compiled(self) -> bool:
        """Whether the layers are compiled."""
        return self.config.compile == "on" or (
            self.config.compile == "auto" and self.device.type == "cuda"
        )

    def training(
        self, should_stop: Callable[[], bool], cannot_wait: Callable[[], bool] = lambda: False
    ) -> Training:
        """The loop, at the newest checkpoint that is whole or at the beginning.

        Args:
            should_stop: whether to end after the step in progress.
            cannot_wait: whether to end before it is done.

        Raises:
            ArtifactError: the checkpoint is of other settings or data.
        """
        hooks = TrainingHooks(
            on_metrics=lambda step, values: self._report(training, step, values),
            on_checkpoint=self.saved.write,
            on_progress=lambda step: self.report.progress(step, self.config.max_steps, "steps"),
            on_rollback=lambda: self.saved.roll_back(lambda: self._begin_anew(None)),
            on_bad_batch=self._name_bad_batch,
            validate=lambda: self.validation(self.model),
            examples=lambda: self.guesses(self.model),
            should_stop=should_stop,
            cannot_wait=cannot_wait,
        )
        rows = self.data.training_rows(fixed_shapes=self.compiled, ranks=self.ranks)
        state = self.saved.resume()
        if not state.step:
            self._begin_anew(self.report.message)
        training = Training(
            self.model, self.optimizers, rows, self._settings(), hooks, state, self.ranks
        )
        return training

    def announce(self, training: Training) -> None:
        """Says where training begins."""
        if training.resumed_from_step:
            self.report.message(f"pretraining goes on after step {training.resumed_from_step}")
        else:
            origin = self.config.init_from or "fresh weights"
            self.report.message(f"pretraining begins at step 0 from {origin}")

    def write_model(self, folder: Path) -> None:
        """Writes what transformers loads: weights, config, tokenizer."""
        save_masked_lm(self.model, folder)
        self.tokenizer.write(folder)

    def unigram_loss(self) -> float:
        """Loss on the masked validation tokens of a guess by frequency in the training split."""
        targets_M = np.concatenate([batch.targets_M.numpy() for batch in self.validation.batches])
        return unigram_loss(self.data.token_counts, targets_M)

    @property
    def _vocabulary(self) -> Path:
        return self.context.inputs["vocab"].file(TOKENIZER_FILE)

    def _settings(self) -> TrainingSettings:
        minutes = self.config.max_minutes
        return TrainingSettings(
            max_steps=self.config.max_steps,
            max_seconds=None if minutes is None else minutes * 60,
            warmup_frac=self.config.warmup_frac,
            decay_frac=self.config.falling_frac,
            num_validations=self.config.validations,
            num_checkpoints=self.config.num_checkpoints,
            checkpoint_seconds=self.config.checkpoint_minutes * 60,
            max_rollbacks=self.config.max_rollbacks,
            precision=self.precision,
            device=self.device,
        )

    def _fingerprint(self) -> dict[str, Any]:
        """What a resumed run must share with the one that left the checkpoint."""
        settings = {**self.config.identity(), **self.config.rates._asdict()}
        content = {name: artifact.ref.content_id for name, artifact in self.context.inputs.items()}
        named = {f"pretrain.{key}": value for key, value in settings.items()}
        return {**named, **content, **(sources(self.config) or {})}

    def _begin_anew(self, say: Callable[[str], None] | None) -> None:
        """Puts model and optimizers where they are before the first update."""
        model = initial_model(self.config, self.encoder, self._vocabulary, say)
        if self.config.init_from is None:
            predict_frequencies(model, torch.from_numpy(self.data.token_counts))
            if self.config.initial_heads == "neighbours":
                look_at_neighbours(model, self.encoder)
        self.model.load_state_dict(model.state_dict())
        self.optimizers.forget()

    def _name_bad_batch(self, step: int, chosen: list[tuple[int, int]]) -> str:
        return write_failed_batch(self.context.output, self.tokens, step, chosen)

    def _report(self, training: Training, step: int, values: dict[str, float]) -> None:
        peak = peak_flops(self.device)
        if peak and "tokens_per_second" in values:
            mask_frac = values.get("mask_frac", self.config.mask_frac)
            flops = values["tokens_per_second"] * self._token_flops(mask_frac)
            values = {**values, "mfu": flops / (peak * self.ranks.num_ranks)}
        self.report.metrics(values, step=step)
        if "validation_loss" in values:
            self.report.example(GUESSES_FILE, guesses_page(training.state.samples))

    def _token_flops(self, mask_frac: float) -> float:
        return training_flops_per_token(
            self.config.shape,
            self.encoder.vocab_size,
            row_tokens=self.tokens.summary.row_tokens,
            mask_frac=mask_frac,
        )


def prepare(
    context: StageContext, *, device: torch.device | None = None, ranks: Ranks = ALONE
) -> PretrainingRun:
    """The run that the context asks for; nothing is computed yet.

    Args:
        context: the stage's.
        device: where to compute; None = as the settings say.
        ranks: who trains together.

    Raises:
        RequestError: a device that is not there or not compiled for, or an encoder to start from
            that does not fit.
        ArtifactError: an input is damaged.
    """
    config: PretrainConfig = context.config
    device = device or pick_device(config.device)
    if config.compile == "on" and device.type != "cuda":
        raise RequestError(
            f"pretrain.compile = on: layers are compiled for CUDA devices only, and this run is on "
            f"{device.type}; leave it at auto"
        )
    tokens = TokenizedCorpus(context.inputs["tokenize"].path)
    return PretrainingRun(
        context,
        tokens,
        initial_encoder(config, encoder_config(config, tokens.summary)),
        device,
        pick_precision(config.precision, device),
        ranks,
    )


def encoder_config(config: PretrainConfig, tokens: TokensSummary) -> EncoderConfig:
    """The encoder that the settings describe, for this vocabulary and length of rows."""
    special_ids = {f"{name}_id": token_id for name, token_id in tokens.special_ids.items()}
    return EncoderConfig(
        vocab_size=tokens.vocab_size,
        max_position_embeddings=tokens.row_tokens,
        tie_embeddings=config.tie_embeddings,
        **config.shape._asdict(),
        **special_ids,
    )
