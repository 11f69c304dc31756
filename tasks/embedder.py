"""Loads an embedder, the artifact that tune makes: text in, unit vectors out."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from model.embedding import DocumentVectors, embed_documents, normalized
from model.encoder import Encoder
from model.errors import ArtifactError, RequestError
from model.huggingface import load_encoder
from model.json_files import read_json, read_text
from tasks.given_tokenizers import parse_tokenizer
from tasks.token_weight_files import WEIGHTED_MEAN, read_token_weights

SUMMARY = "embedder.json"
MEAN = "mean"
TOKENS_PER_BATCH = 2048  # stays in the caches of a processor


@dataclass(frozen=True, kw_only=True)
class EmbedderSummary:
    """What embedder.json says.

    Attributes:
        pooling: how positions become one vector; "mean" or "weighted_mean", which has a weight for
            each token of the vocabulary.
        dim: width D of a vector.
        matryoshka_dims: prefixes of a vector that are embeddings too, after normalising again.
        max_window_tokens: positions of a window, [CLS] and [SEP] included.
        layer: whose hidden states are pooled; the last one, counted from 1.
    """

    pooling: str
    dim: int
    matryoshka_dims: list[int]
    max_window_tokens: int
    layer: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The summary in an embedder's folder.

        Raises:
            ArtifactError: it is missing, damaged, or pools in a way that this version does not.
        """
        path = folder / SUMMARY
        try:
            summary = cls(**read_json(path))
            summary._check_sizes()
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(f"{path} describes no embedder ({error}): run tune again") from None
        if summary.pooling not in (MEAN, WEIGHTED_MEAN):
            raise ArtifactError(
                f"{path} asks for {summary.pooling!r} pooling, which this version does not know"
            )
        return summary

    def _check_sizes(self) -> None:
        for size in (self.dim, self.max_window_tokens, self.layer, *self.matryoshka_dims):
            if type(size) is not int or size < 1:
                raise ValueError(f"{size!r} is no size")

    def check_dim(self, dim: int) -> None:
        """See that vectors may be cut to this width.

        Raises:
            RequestError: the embedder was not trained for it.
        """
        if dim not in self.dims:
            widths = ", ".join(map(str, self.dims))
            raise RequestError(
                f"--dim {dim}: the embedder was not trained to be cut to {dim} numbers; it gives "
                f"{widths}"
            )

    @property
    def dims(self) -> list[int]:
        """Every width that a vector may have, widest first."""
        return sorted({self.dim, *self.matryoshka_dims}, reverse=True)

    def write(self, folder: Path) -> None:
        """Write the summary into an embedder's folder."""
        (folder / SUMMARY).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


class Embedder:
    """An encoder with its tokenizer and the rule that makes one vector of a document.

    Attributes:
        weights_V: how much each token of the vocabulary counts, on the encoder's device; None
            where all count alike.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Tokenizer,
        about: EmbedderSummary,
        weights_V: Tensor | None = None,
    ) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.about = about
        self.weights_V = weights_V

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Self:
        """Read an embedder's folder.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        about = EmbedderSummary.read(folder)
        encoder = load_encoder(folder).to(device).eval()
        weights_V = None
        if about.pooling == WEIGHTED_MEAN:
            weights_V = read_token_weights(folder, encoder.config.vocab_size).to(device)
        return cls(encoder, load_tokenizer(folder / "tokenizer.json"), about, weights_V)

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token ids of each text, without special tokens and without a limit."""
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def encode_texts(
        self, texts: Sequence[str], *, tokens_per_batch: int = TOKENS_PER_BATCH
    ) -> NDArray[np.float32]:
        """Unit vectors of whole texts, float32 [n, D], as the exported dataset has them.

        Raises:
            CorpusError, ArtifactError: as `model.embedding.embed_documents`.
        """
        return self.embed(self.tokenize(texts), tokens_per_batch=tokens_per_batch).vectors

    def embed(
        self,
        documents: Sequence[NDArray[np.integer]],
        *,
        tokens_per_batch: int = TOKENS_PER_BATCH,
    ) -> DocumentVectors:
        """Embed whole documents of token ids, without special tokens.

        Raises:
            CorpusError, ArtifactError: as `model.embedding.embed_documents`.
        """
        return embed_documents(
            self.encoder,
            documents,
            max_window_tokens=self.about.max_window_tokens,
            tokens_per_batch=tokens_per_batch,
            weights_V=self.weights_V,
        )


def cut(vectors_ND: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """The first `dim` numbers of each vector, of unit length again (Kusupati et al. 2022,
    Matryoshka Representation Learning, section 3). The full width is left as it is."""
    return vectors_ND if dim == vectors_ND.shape[1] else normalized(vectors_ND[:, :dim])


def load_tokenizer(path: Path, *, advice: str = "run the chain again") -> Tokenizer:
    """A tokenizer for which text that looks like a special token is data.

    All in this process share it who read the same content: it must not be changed.

    Args:
        path: a `tokenizer.json`.
        advice: what to do where it is none.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        return _that_takes_text_as_data(read_text(path))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is not a tokenizer ({error}): {advice}") from None


@lru_cache(maxsize=2)  # ours, and one that a probe compares it with
def _that_takes_text_as_data(definition: str) -> Tokenizer:
    """Made once: each that was made leaves the words it has cut in every thread of the library's
    pool, as long as the process lives (github.com/huggingface/tokenizers/pull/2028)."""
    tokenizer = parse_tokenizer(definition)
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
