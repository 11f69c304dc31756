"""The embedder, and what it is made from, as systems to score: same tokens, same pooling."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder import Encoder
from model.huggingface import encoder_config_from, load_encoder
from model.initialization import initialize
from tasks.embedder import Embedder
from tasks.evaluate.scores import EMBEDDER
from tasks.stage import Reporter

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class EncoderSystem:
    """An encoder with the embedder's tokenizer, windows and mean pooling.

    Attributes:
        name: its name in the tables.
        embedder: makes the vectors.
        report: hears how many texts are done.
        cut_dims: shorter widths to score too.
    """

    name: str
    embedder: Embedder
    report: Reporter
    cut_dims: Sequence[int] = ()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [texts, D], rows of unit length.

        Raises:
            ArtifactError: a vector is not finite or has no direction.
        """
        vectors = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            vectors.append(self.embedder.encode_texts(texts[start : start + _TEXTS_AT_ONCE]))
            self.report.progress(min(start + _TEXTS_AT_ONCE, len(texts)), len(texts), "texts")
        return np.concatenate(vectors)


def encoder_systems(
    tuned: Path, pretrained: Path, *, seed: int, device: torch.device, report: Reporter
) -> Iterator[EncoderSystem]:
    """The tuned embedder, the encoder before tuning, and the same architecture without training.

    Args:
        tuned: folder of the tune artifact.
        pretrained: folder of the pretrain artifact.
        seed: of the untrained encoder's weights.

    Raises:
        ArtifactError: a folder holds no such model.
    """
    embedder = Embedder.load(tuned, device)
    yield EncoderSystem(EMBEDDER, embedder, report, _smallest_dim(embedder))
    for name, encoder in (
        ("pretrained", load_encoder(pretrained)),
        ("untrained", untrained_encoder(pretrained, seed)),
    ):
        before = Embedder(encoder.to(device).eval(), embedder.tokenizer, embedder.about)
        yield EncoderSystem(name, before, report)


def untrained_encoder(folder: Path, seed: int) -> Encoder:
    """An encoder of the architecture in `folder`, with fresh weights.

    Raises:
        ArtifactError: the folder states no architecture.
    """
    config = encoder_config_from(folder)
    encoder = Encoder(config)
    initialize(encoder, config, seed)
    return encoder


def _smallest_dim(embedder: Embedder) -> tuple[int, ...]:
    smallest = min(embedder.about.matryoshka_dims, default=embedder.about.dim)
    return (smallest,) if smallest < embedder.about.dim else ()
