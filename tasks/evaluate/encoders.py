"""The embedder, what it is made from, and the user's models, as systems to score.

Shape letters: N texts, V tokens of the vocabulary, D dimensions.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder import Encoder
from model.huggingface import encoder_config_from, load_encoder
from model.initialization import initialize
from tasks.embedder import Embedder
from tasks.evaluate.encoder_system import EncoderSystem
from tasks.evaluate.layers import LayeredEmbedder, whole_encoder
from tasks.evaluate.sentence_transformer_folders import SentenceTransformerSystem, named_folders
from tasks.evaluate.vectors import Symmetric, System, unit_rows
from tasks.stage import Reporter
from tasks.system_names import EMBEDDER


class BagOfTokens(Symmetric):
    """The embedder's own token embeddings, weighted as it weights them, without any layer.

    Blind to context: what the encoder is worth is how far the embedder is above this.
    """

    name = "bag"
    cut_dims: Sequence[int] = ()

    def __init__(self, embedder: Embedder) -> None:
        """Embed every token of the vocabulary once; a text needs only their mean."""
        self._embedder = embedder
        embeddings = embedder.encoder.embeddings
        weight_VD = embeddings.tok_embeddings.weight
        with torch.inference_mode():
            table_1VD = embeddings(torch.arange(len(weight_VD), device=weight_VD.device)[None])
            table_VD = embedder.encoder.final_norm(table_1VD[0]).float()
            if embedder.weights_V is not None:
                table_VD = table_VD * embedder.weights_V[:, None]
        self._table_VD: NDArray[np.float32] = table_VD.cpu().numpy()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [N, D]; rows of unit length, zero without a token."""
        means_ND = np.zeros((len(texts), self._table_VD.shape[1]))
        for row, ids in enumerate(self._embedder.tokenize(texts)):
            if len(ids):
                tokens, counts = np.unique(ids, return_counts=True)
                means_ND[row] = counts @ self._table_VD[tokens] / len(ids)
        unit_ND: NDArray[np.float32] = unit_rows(means_ND).astype(np.float32)
        return unit_ND


def encoder_systems(
    tuned: Path,
    pretrained: Path,
    *,
    seed: int,
    device: torch.device,
    report: Reporter,
    sentence_transformers: Sequence[str] = (),
) -> Iterator[System]:
    """The tuned embedder with its layers, the bag of its token embeddings, the encoder before
    tuning, the same architecture without training, then the user's models; each made when it is
    asked for.

    Args:
        tuned: folder of the tune artifact.
        pretrained: folder of the pretrain artifact.
        seed: of the untrained encoder's weights.
        device: where all of them run.
        report: hears how many texts are done, and of texts that a user's model cuts.
        sentence_transformers: folders of the user's models.

    Raises:
        RequestError: a user's folder is missing or holds no model, or two have one name; as far as
            that shows without loading, at the call, before any system is made.
        ArtifactError: a folder holds no such model.
    """
    others = named_folders(sentence_transformers)
    return _encoder_systems(tuned, pretrained, others, seed=seed, device=device, report=report)


def _encoder_systems(
    tuned: Path,
    pretrained: Path,
    others: Mapping[str, Path],
    *,
    seed: int,
    device: torch.device,
    report: Reporter,
) -> Iterator[System]:
    embedder = Embedder.load(tuned, device)
    yield LayeredEmbedder(
        name=EMBEDDER,
        embedder=embedder,
        report=report,
        cut_dims=_cut_dims(embedder),
        whole=whole_encoder(tuned, embedder, device),
    )
    yield BagOfTokens(embedder)
    for name, encoder in (
        ("pretrained", load_encoder(pretrained)),
        ("untrained", untrained_encoder(pretrained, seed)),
    ):
        before = Embedder(encoder.to(device).eval(), embedder.tokenizer, embedder.about)
        yield EncoderSystem(name, before, report)
    for name, folder in others.items():
        yield SentenceTransformerSystem.load(name, folder, device=device, report=report)


def embedder_system(
    name: str, folder: Path, *, device: torch.device, report: Reporter
) -> EncoderSystem:
    """The embedder of a tune artifact under a name, at its whole width only.

    Raises:
        ArtifactError: the folder holds no such model.
    """
    return EncoderSystem(name, Embedder.load(folder, device), report)


def untrained_encoder(folder: Path, seed: int) -> Encoder:
    """An encoder of the architecture in `folder`, with fresh weights.

    Raises:
        ArtifactError: the folder states no architecture.
    """
    config = encoder_config_from(folder)
    encoder = Encoder(config)
    initialize(encoder, config, seed)
    return encoder


def _cut_dims(embedder: Embedder) -> tuple[int, ...]:
    dims = embedder.about.matryoshka_dims
    return tuple(sorted((dim for dim in dims if dim < embedder.about.dim), reverse=True))
