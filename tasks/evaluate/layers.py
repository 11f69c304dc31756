"""The embedder as a system that is also read off each of its layers, in the same pass.

Shape letters: N texts, D dimensions, K layers, W windows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.embedding import combine_windows, embed_layers, plan_windows
from model.encoder import Encoder
from model.huggingface import load_encoder
from tasks.embedder import TOKENS_PER_BATCH, Embedder
from tasks.evaluate.encoder_system import TEXTS_AT_ONCE, EncoderSystem
from tasks.evaluate.vectors import NamedPair, with_cuts
from tasks.system_names import layer_system
from tasks.tuned_layers import TunedLayers


@dataclass(frozen=True, kw_only=True)
class LayeredEmbedder(EncoderSystem):
    """The embedder beside copies of it that are cut after each other layer.

    Attributes:
        whole: its encoder with the layers that tune dropped when it chose one; else its own.
    """

    whole: Encoder

    def pairs_by_layer(
        self, queries: Sequence[str], candidates: Sequence[str]
    ) -> Iterator[NamedPair]:
        """The pairs that `ranked_pairs_of` gives, bit for bit, then one for each other layer.

        Layers are named ``layer_0`` (the token vectors), ``layer_1`` and so on. The final norm
        stands after each of them, as it would in an encoder that ends there.

        Cost: the embedder's own pass over the texts, of the dropped layers too; all layers'
        vectors are held.
        """
        asked_KND, found_KND = self._vectors(queries), self._vectors(candidates)
        own = self.embedder.encoder.config.num_layers
        yield from with_cuts(self, asked_KND[own], found_KND[own])
        for layer, (asked_ND, found_ND) in enumerate(zip(asked_KND, found_KND, strict=True)):
            if layer != own:
                yield NamedPair(layer_system(layer), asked_ND, found_ND)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [K + 1, N, D], rows of unit length."""
        parts = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            parts.append(self._vectors_of_some(texts[start : start + TEXTS_AT_ONCE]))
            self.report.progress(min(start + TEXTS_AT_ONCE, len(texts)), len(texts), "texts")
        return np.concatenate(parts, axis=1)

    def _vectors_of_some(self, texts: Sequence[str]) -> NDArray[np.float32]:
        documents = self.embedder.tokenize(texts)
        windows = plan_windows(list(map(len, documents)), self.embedder.about.max_window_tokens)
        sums_KWD = embed_layers(
            self.whole,
            documents,
            windows,
            layers=range(self.whole.config.num_layers + 1),
            tokens_per_batch=TOKENS_PER_BATCH,
            normed=True,
            weights_V=self.embedder.weights_V,
        )
        return np.stack([combine_windows(sums_WD, windows) for sums_WD in sums_KWD])


def whole_encoder(tuned: Path, embedder: Embedder, device: torch.device) -> Encoder:
    """The encoder of a tune artifact with all layers that were trained.

    Raises:
        ArtifactError: tune dropped some, and the checkpoint that has them cannot be read.
    """
    dropped = TunedLayers.read(tuned)
    if dropped is None:
        return embedder.encoder
    return load_encoder(tuned / dropped.checkpoint).to(device).eval()
