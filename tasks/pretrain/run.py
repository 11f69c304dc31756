"""One pretraining run put together: model, data, checkpoints and who hears of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.config import EncoderConfig
from model.errors import CorpusError
from model.huggingface import save_masked_lm
from model.masked_batches import TrainingRows, ValidationRows
from model.mlm import MaskedLanguageModel
from model.optimizers import Optimizers, OptimizerSettings
from model.packing import PackedTokens
from model.state import TrainingState, load_state, save_state
from model.training import Training, TrainingHooks, TrainingSettings
from model.validation import Validation, unigram_loss
from tasks.checkpoints import newest_checkpoint, write_checkpoint
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.initial import initial_model, sources
from tasks.pretrain.sizes import training_flops_per_token
from tasks.pretrain.tokenizer_files import TOKENIZER_FILE, TokenizerFiles
from tasks.runtime.devices import peak_flops, pick_device, pick_precision
from tasks.stage import Reporter, StageContext
from tasks.tokens import TokenizedCorpus, TokensSummary

CHECKPOINTS = "checkpoints"
VALIDATION_MASK_FRAC = 0.15
DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True)
class PretrainingRun:
    """Everything that stays the same from the first update to the last.

    Attributes:
        context: the stage's.
        tokens: the tokenized corpus.
        encoder: sizes of the encoder.
        device: where to compute.
        precision: of the matrix products.
    """

    context: StageContext
    tokens: TokenizedCorpus
    encoder: EncoderConfig
    device: torch.device
    precision: torch.dtype

    @property
    def config(self) -> PretrainConfig:
        """The stage's settings."""
        config: PretrainConfig = self.context.config
        return config

    @cached_property
    def tokenizer(self) -> TokenizerFiles:
        """The vocabulary's files."""
        return TokenizerFiles(self.context.inputs["vocab"].file(TOKENIZER_FILE), self.encoder)

    @cached_property
    def model(self) -> MaskedLanguageModel:
        """The model, on its device; compiled where the settings say so."""
        vocabulary = self.context.inputs["vocab"].file(TOKENIZER_FILE)
        model = initial_model(self.config, self.encoder, vocabulary).to(self.device)
        if self.compiled:
            for layer in model.model.layers:
                layer.compile()
        return model

    @cached_property
    def optimizers(self) -> Optimizers:
        """The optimizers of the model."""
        return Optimizers(
            self.model,
            OptimizerSettings(
                learning_rate=self.config.learning_rate,
                muon_learning_rate=self.config.muon_learning_rate,
                weight_decay=self.config.weight_decay,
                grad_clip=self.config.grad_clip,
                muon_dtype=self.precision,
            ),
        )

    @cached_property
    def validation(self) -> Validation:
        """The examination, with its batches made once."""
        rows = ValidationRows(
            rows=self._packed("validation"),
            config=self.encoder,
            row_tokens=self.tokens.summary.row_tokens,
            max_rows=self.config.validation_rows,
            micro_rows=self.micro_rows,
            mask_frac=VALIDATION_MASK_FRAC,
            seed=self.config.seed,
        )
        return Validation(
            batches=list(rows.batches()),
            token_bytes_V=torch.tensor(self.tokenizer.token_bytes(self.encoder.vocab_size)),
            device=self.device,
            precision=self.precision,
        )

    @property
    def compiled(self) -> bool:
        """Whether the layers are compiled."""
        return self.config.compile == "on" or (
            self.config.compile == "auto" and self.device.type == "cuda"
        )

    @property
    def micro_rows(self) -> int:
        """Rows computed at once."""
        return min(self.config.micro_rows or self.config.rows_per_step, self.config.rows_per_step)

    def training(self, should_stop: Callable[[], bool]) -> Training:
        """The loop, at the newest checkpoint that is whole or at the beginning.

        Raises:
            ArtifactError: the checkpoint is of other settings or data.
        """
        rows = TrainingRows(
            rows=self._packed("train"),
            config=self.encoder,
            row_tokens=self.tokens.summary.row_tokens,
            rows_per_step=self.config.rows_per_step,
            micro_rows=self.micro_rows,
            mask_frac=self.config.mask_frac,
            seed=self.config.seed,
            fixed_shapes=self.compiled,
        )
        hooks = TrainingHooks(
            on_metrics=self._report,
            on_checkpoint=self._write_checkpoint,
            on_progress=lambda step: self.report.progress(step, self.config.max_steps, "steps"),
            validate=lambda: self.validation(self.model),
            should_stop=should_stop,
        )
        state = self._resumed_state()
        return Training(self.model, self.optimizers, rows, self._settings(), hooks, state)

    @property
    def report(self) -> Reporter:
        """Who hears of the run."""
        return self.context.report

    def write_model(self, folder: Path) -> None:
        """Writes what transformers loads: weights, config, tokenizer."""
        save_masked_lm(self.model, folder)
        self.tokenizer.write(folder)

    def unigram_loss(self) -> float:
        """Loss on the masked validation tokens of a guess by frequency in the training split."""
        targets_M = np.concatenate([batch.targets_M.numpy() for batch in self.validation.batches])
        return unigram_loss(self._token_counts(), targets_M)

    def _settings(self) -> TrainingSettings:
        minutes = self.config.max_minutes
        return TrainingSettings(
            max_steps=self.config.max_steps,
            max_seconds=None if minutes is None else minutes * 60,
            warmup_frac=self.config.warmup_frac,
            decay_frac=self.config.decay_frac,
            num_validations=self.config.validations,
            num_checkpoints=self.config.num_checkpoints,
            precision=self.precision,
            device=self.device,
        )

    def _fingerprint(self) -> dict[str, Any]:
        """What a resumed run must share with the one that left the checkpoint."""
        settings = {f"pretrain.{key}": value for key, value in self.config.identity().items()}
        content = {name: artifact.ref.content_id for name, artifact in self.context.inputs.items()}
        return {**settings, **content, **(sources(self.config) or {})}

    def _resumed_state(self) -> TrainingState:
        found = newest_checkpoint(
            self.context.output / CHECKPOINTS,
            on_damaged=lambda folder: self.report.warning(
                f"checkpoint {folder.name} is damaged and was removed: its steps run again"
            ),
        )
        if found is None:
            return TrainingState()
        state = load_state(found.folder, self.model, self.optimizers, self._fingerprint())
        self.report.message(f"pretraining goes on after step {state.step}")
        return state

    def _write_checkpoint(self, state: TrainingState) -> None:
        def write_files(folder: Path) -> None:
            save_state(folder, self.model, self.optimizers, state, self._fingerprint())
            self.tokenizer.write(folder)

        write_checkpoint(self.context.output / CHECKPOINTS, state.step, write_files)

    def _report(self, step: int, values: dict[str, float]) -> None:
        peak = peak_flops(self.device)
        if peak and "tokens_per_second" in values:
            values = {**values, "mfu": values["tokens_per_second"] * self._token_flops() / peak}
        self.report.metrics(values, step=step)

    def _token_flops(self) -> float:
        return training_flops_per_token(
            self.config.shape,
            self.encoder.vocab_size,
            row_tokens=self.tokens.summary.row_tokens,
            mask_frac=self.config.mask_frac,
        )

    def _packed(self, split: str) -> PackedTokens:
        packed = self.tokens.packed(split)
        if not packed.num_rows:
            raise CorpusError(f"the {split} split holds no tokens: give ingest more text")
        return packed

    def _token_counts(self) -> NDArray[np.int64]:
        documents = self.tokens.documents("train")
        counts_V = np.zeros(self.encoder.vocab_size, dtype=np.int64)
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            token_ids = np.concatenate(documents[start : start + DOCUMENTS_AT_ONCE])
            counts_V += np.bincount(token_ids, minlength=len(counts_V))
        return counts_V


def prepare(context: StageContext) -> PretrainingRun:
    """The run that the context asks for; nothing is computed yet.

    Raises:
        RequestError: a device that is not there.
        ArtifactError: an input is damaged.
    """
    config: PretrainConfig = context.config
    device = pick_device(config.device)
    tokens = TokenizedCorpus(context.inputs["tokenize"].path)
    return PretrainingRun(
        context,
        tokens,
        encoder_config(config, tokens.summary),
        device,
        pick_precision(config.precision, device),
    )


def encoder_config(config: PretrainConfig, tokens: TokensSummary) -> EncoderConfig:
    """The encoder that the settings describe, for this vocabulary and length of rows."""
    special_ids = {f"{name}_id": token_id for name, token_id in tokens.special_ids.items()}
    return EncoderConfig(
        vocab_size=tokens.vocab_size,
        max_position_embeddings=tokens.row_tokens,
        **config.shape._asdict(),
        **special_ids,
    )
