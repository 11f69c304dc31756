"""Encoders and documents made for the probe's tests; some hold a planted property."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from model.batch import Batch
from model.config import EncoderConfig
from model.encoder import Encoder, Observation
from model.initialization import initialize
from tasks.probe.sample import Tokens
from tasks.probe.vocabulary import Vocabulary

CONFIG = EncoderConfig(
    vocab_size=300, hidden_size=32, num_layers=3, num_heads=2, intermediate_size=48
)
PLANTED_LAYER = 2
IDS = np.arange(CONFIG.vocab_size)
VOCABULARY = Vocabulary(
    ends_sentence_V=IDS % 60 < 8, is_word_V=np.isin(IDS, [90, 100, 150, 160, 210, 220])
)


def plain_encoder(seed: int = 1, scale: float = 20.0) -> Encoder:
    """An encoder whose weights are large enough for context to matter."""
    encoder = Encoder(CONFIG)
    initialize(encoder, CONFIG, seed)
    enlarge(encoder, scale)
    return encoder.eval()


def enlarge(module: torch.nn.Module, scale: float) -> None:
    """Multiply the layers' matrices."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "layers" in name and parameter.ndim > 1:
                parameter.mul_(scale)


class PlantedEncoder(Encoder):
    """Layer 2 alone says where a token is smaller than the one before it.

    In documents of rising tokens that is so where two neighbours were exchanged, and nowhere
    else. States of special tokens are huge: whoever counts them is found out.
    """

    def observe(self, batch: Batch, *, attention: bool = False) -> Iterator[Observation]:
        ids = batch.token_ids_BL
        falls_BL = torch.zeros_like(ids, dtype=torch.float32)
        falls_BL[:, 1:] = ((ids[:, 1:] < ids[:, :-1]) & (ids[:, 1:] > 4)).float()
        special_BL1 = (ids < 5).float()[..., None]
        for seen in super().observe(batch, attention=attention):
            hidden_BLD = self.embeddings(ids).clone()
            if seen.layer == PLANTED_LAYER:
                hidden_BLD[..., 0] = 5.0 * falls_BL
            hidden_BLD = hidden_BLD + 1e4 * special_BL1
            yield Observation(seen.layer, hidden_BLD, seen.attention_BHLL)


def planted_encoder() -> PlantedEncoder:
    encoder = PlantedEncoder(CONFIG)
    initialize(encoder, CONFIG, 1)
    return encoder.eval()


def rising_documents(num_documents: int, seed: int, *, longest: int = 80) -> list[Tokens]:
    """Documents of strictly rising tokens, of all lengths from 1 up."""
    generator = np.random.default_rng(seed)
    documents = []
    for _ in range(num_documents):
        length = int(generator.integers(1, longest))
        tokens = generator.choice(np.arange(5, CONFIG.vocab_size), length, replace=False)
        documents.append(np.sort(tokens).astype(np.uint16))
    return documents


def corpus(num_train: int = 200, num_held_out: int = 90) -> Mapping[str, list[Tokens]]:
    """Documents of the three splits."""
    return {
        "train": rising_documents(num_train, 0),
        "validation": rising_documents(num_held_out, 1),
        "test": rising_documents(num_held_out, 2),
    }


class Silent:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Nothing listens."""

    def progress(self, done: int, total: int, unit: str) -> None:
        self.steps.append((done, total))

    def message(self, text: str) -> None:
        """Nothing listens."""

    def warning(self, text: str) -> None:
        self.warnings.append(text)
