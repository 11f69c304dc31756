"""What a pretraining run learns from and is examined on, as the settings describe it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import EncoderConfig
from model.errors import CorpusError
from model.masked_batches import MaskedBatch, TrainingRows, ValidationRows
from model.masking import Masking
from model.order import BatchRamp
from model.packing import PackedTokens
from model.ranks import Ranks
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.tokenizer_files import read_tokenizer
from tasks.tokens import TokenizedCorpus
from tasks.word_joins import word_joins

VALIDATION_MASK_FRAC = 0.15
DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True)
class PretrainingData:
    """The tokens of a run under its settings.

    Attributes:
        config: the stage's settings.
        tokens: the tokenized corpus.
        vocabulary: `tokenizer.json` of its vocabulary.
        encoder: for the special ids and the vocabulary's size.
    """

    config: PretrainConfig
    tokens: TokenizedCorpus
    vocabulary: Path
    encoder: EncoderConfig

    @property
    def micro_rows(self) -> int:
        """Rows computed at once."""
        return min(self.config.micro_rows or self.config.rows_per_step, self.config.rows_per_step)

    def training_rows(self, *, fixed_shapes: bool, ranks: Ranks) -> TrainingRows:
        """What each update learns from.

        Args:
            fixed_shapes: for compiled models.
            ranks: who shares an update.

        Raises:
            CorpusError: the training split is empty.
            RequestError: there are more ranks than rows.
        """
        return TrainingRows(
            rows=self._packed("train"),
            config=self.encoder,
            row_tokens=self.tokens.summary.row_tokens,
            ramp=self._ramp(),
            max_steps=self.config.max_steps,
            micro_rows=self.micro_rows,
            masking=self._masking(),
            seed=self.config.seed,
            fixed_shapes=fixed_shapes,
            rank=ranks.rank,
            num_ranks=ranks.num_ranks,
        )

    def validation_batches(self) -> list[MaskedBatch]:
        """What every validation asks.

        Raises:
            CorpusError: the validation split is empty.
        """
        rows = ValidationRows(
            rows=self._packed("validation"),
            config=self.encoder,
            row_tokens=self.tokens.summary.row_tokens,
            max_rows=self.config.validation_rows,
            micro_rows=self.micro_rows,
            mask_frac=VALIDATION_MASK_FRAC,
            seed=self.config.seed,
        )
        return list(rows.batches())

    @cached_property
    def token_counts(self) -> NDArray[np.int64]:
        """How often each id stands in the training split, int64 by id."""
        documents = self.tokens.documents("train")
        counts_V = np.zeros(self.encoder.vocab_size, dtype=np.int64)
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            token_ids = np.concatenate(documents[start : start + DOCUMENTS_AT_ONCE])
            counts_V += np.bincount(token_ids, minlength=len(counts_V))
        return counts_V

    def _ramp(self) -> BatchRamp:
        rows_per_step = self.config.rows_per_step
        initial_rows = self.config.initial_rows_per_step or rows_per_step
        is_rising = initial_rows < rows_per_step
        return BatchRamp(
            rows_per_step=rows_per_step,
            initial_rows=initial_rows,
            ramp_steps=round(self.config.ramp_frac * self.config.max_steps) if is_rising else 0,
        )

    def _masking(self) -> Masking:
        joins = None
        if self.config.whole_words:
            joins = word_joins(read_tokenizer(self.vocabulary), self.encoder.vocab_size)
        return Masking(
            mask_frac=self.config.mask_frac,
            final_mask_frac=self.config.final_mask_frac,
            shares=self.config.mask_shares,
            joins=joins,
        )

    def _packed(self, split: str) -> PackedTokens:
        packed = self.tokens.packed(split)
        if not packed.num_rows:
            raise CorpusError(f"the {split} split holds no tokens: give ingest more text")
        return packed
