"""Token weights of an embedder on disk, in the layout of sentence-transformers' WordWeights."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.errors import ArtifactError
from model.json_files import parse_json

FOLDER = "1_WordWeights"
WEIGHTED_MEAN = "weighted_mean"
_CONFIG = "config.json"


def write_token_weights(folder: Path, weights_V: Tensor, tokens_V: list[str]) -> None:
    """Write the weights below an embedder's folder.

    Args:
        folder: of the embedder.
        weights_V: float32, one a token, above 0.
        tokens_V: the vocabulary, by id, no name twice.
    """
    assert len(tokens_V) == len(set(tokens_V)) == len(weights_V), "a weight for each name"
    (folder / FOLDER).mkdir(exist_ok=True)
    weights = dict(zip(tokens_V, weights_V.tolist(), strict=True))
    about = {"vocab": tokens_V, "word_weights": weights, "unknown_word_weight": 1.0}
    (folder / FOLDER / _CONFIG).write_text(json.dumps(about) + "\n", "utf-8")


def read_token_weights(folder: Path, vocab_size: int) -> Tensor:
    """The weights in an embedder's folder, float32 [V].

    Raises:
        ArtifactError: they are missing, damaged or of another vocabulary.
    """
    path = folder / FOLDER / _CONFIG
    try:
        about = parse_json(path.read_text("utf-8"))
        weights = [about["word_weights"][token] for token in about["vocab"]]
        weights_V = torch.from_numpy(np.array(weights, dtype=np.float64)).float()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} holds no token weights ({error}): run tune again") from None
    if weights_V.shape != (vocab_size,):
        raise ArtifactError(
            f"{path} has {len(weights_V)} weights for {vocab_size} tokens: run tune again"
        )
    if not ((weights_V > 0) & torch.isfinite(weights_V)).all():
        raise ArtifactError(f"{path} has weights that are no numbers above 0: run tune again")
    return weights_V
