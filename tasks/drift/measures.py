"""What is measured of each document by itself: by the tokenizer, the encoder and the embedder.

Letters: S documents, X numbers of each, D width of a vector.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.document_loss import document_losses
from model.huggingface import load_masked_lm
from model.masking import MaskedRow, mask_for_validation
from model.mlm import MaskedLanguageModel
from tasks.content_hashes import hashes_of
from tasks.drift.config import DriftConfig
from tasks.drift.sample import Sample, first_words
from tasks.embedder import Embedder, load_tokenizer
from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.token_bytes import token_bytes

MASK_FRAC = 0.15  # what validation of pretraining masks
BYTES_PER_TOKEN, SINGLE_BYTE_SHARE = "bytes_per_token", "single_byte_share"
MASKED_LOSS, EMBEDDING_DISTANCE = "masked_loss", "embedding_distance"
NUMBERS = (BYTES_PER_TOKEN, SINGLE_BYTE_SHARE, MASKED_LOSS)  # of a document, in this order
# A loss that falls is no drift: a document that was edited after the encoder had learned from it
# is new and easy.
NUM_TWO_SIDED = 2


@dataclass(frozen=True)
class Measured:
    """Documents that have any token to guess.

    Attributes:
        numbers_SX: float64, columns as in `NUMBERS`.
        vectors_SD: float32, as the dataset has them.
    """

    numbers_SX: NDArray[np.float64]
    vectors_SD: NDArray[np.float32]


class Gauge:
    """Measures documents with one tokenizer, encoder and embedder.

    Args:
        vocabulary: `tokenizer.json`.
        encoder: folder of the pretrain artifact.
        embedder: folder of the tune artifact.
        dataset: what the embedder has made of all documents of the newest corpus.
        config: the stage's.
        device: where to compute.

    Raises:
        ArtifactError: a file is damaged, or the dataset is of another embedder.
    """

    def __init__(
        self,
        vocabulary: Path,
        encoder: Path,
        embedder: Path,
        dataset: Path,
        config: DriftConfig,
        device: torch.device,
    ) -> None:
        self._tokenizer = load_tokenizer(vocabulary)
        self._model: MaskedLanguageModel = load_masked_lm(encoder).to(device).eval()
        sizes = token_bytes(self._tokenizer, self._model.config.vocab_size)
        self._is_single_V = np.array(sizes) == 1
        self._embedder = embedder
        self._dataset = EmbeddingsDataset.open(dataset, embedder)
        self._config = config
        self._device = device

    def measure(self, sample: Sample) -> Measured:
        """Numbers and vectors of the documents; those without a token to guess are left out."""
        encodings = self._tokenizer.encode_batch_fast(sample.texts, add_special_tokens=False)
        tokens = [np.array(each.ids, dtype=np.int64) for each in encodings]
        masked = [
            self._mask(document, int(row) >> 1)
            for document, row in zip(tokens, first_words(sample.hashes_S), strict=True)
        ]
        is_kept_S = np.array([len(each.positions_M) > 0 for each in masked], dtype=np.bool_)
        kept = sample.where(is_kept_S)
        read = [document for document, is_kept in zip(tokens, is_kept_S, strict=True) if is_kept]
        columns = [
            [len(text.encode()) / len(own) for text, own in zip(kept.texts, read, strict=True)],
            [self._is_single_V[own].mean() for own in read],
            document_losses(self._model, [each for each in masked if len(each.positions_M)]),
        ]
        numbers_SX = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
        return Measured(numbers_SX, self._vectors(kept))

    def _mask(self, document: NDArray[np.int64], row: int) -> MaskedRow:
        """By the document's own number, so that its loss is the same in every night."""
        about = self._model.config
        room = min(self._config.max_tokens_per_document, about.max_position_embeddings - 2)
        return mask_for_validation(
            document[:room], about, mask_frac=MASK_FRAC, seed=self._config.seed, row=row
        )

    def _vectors(self, sample: Sample) -> NDArray[np.float32]:
        """From the dataset; of documents that are there no more, made anew and rounded as it is."""
        known = hashes_of(self._dataset.columns(["content_sha256"])["content_sha256"])
        order = np.argsort(known, kind="stable")
        found_S = np.searchsorted(known, sample.hashes_S, sorter=order).clip(max=len(known) - 1)
        rows_S = order[found_S]
        is_there_S = known[rows_S] == sample.hashes_S
        vectors_SD = np.empty((len(sample), self._dataset.dim), dtype=np.float32)
        for rows, block in self._dataset.blocks_at(np.unique(rows_S[is_there_S])):
            is_here_S = is_there_S & np.isin(rows_S, rows)
            vectors_SD[is_here_S] = block[np.searchsorted(rows, rows_S[is_here_S])]
        if not is_there_S.all():
            embedder = Embedder.load(self._embedder, self._device)
            made = embedder.encode_texts(sample.where(~is_there_S).texts)
            kind = self._dataset.schema.field("embedding").type.value_type.to_pandas_dtype()
            vectors_SD[~is_there_S] = made.astype(kind)
        return vectors_SD
