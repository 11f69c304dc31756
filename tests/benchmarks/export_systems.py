"""The systems that the export benchmark lets embed the same texts, in one process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.embedding import embed_documents
from tasks.embedder import Embedder

OURS, OURS_BF16 = "corpusmith fp32", "corpusmith bf16"
PEER, PEER_BF16 = "SentenceTransformer", "SentenceTransformer bf16"
Embed = Callable[[], NDArray[np.float32]]


@dataclass
class System:
    """One way to embed all texts, and what its rounds cost.

    Attributes:
        name: as in the table.
        embed: embeds all texts; one vector each.
        num_tokens: really embedded, special tokens not counted.
        wall_s, cpu_s: of each round.
        vectors_TD: of the last round.
    """

    name: str
    embed: Embed
    num_tokens: int
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    vectors_TD: NDArray[np.float32] | None = None

    def run_round(self) -> None:
        """Embed everything once, timed."""
        started, cpu = time.perf_counter(), time.process_time()
        self.vectors_TD = self.embed()
        self.wall_s.append(time.perf_counter() - started)
        self.cpu_s.append(time.process_time() - cpu)

    @property
    def tokens_per_s(self) -> float:
        """Median over rounds."""
        return self.num_tokens / median(self.wall_s)

    @property
    def tokens_per_cpu_s(self) -> float:
        """The same for each second of processor time, which other processes disturb less."""
        return self.num_tokens / median(self.cpu_s)


def open_systems(
    folder: Path, texts: Sequence[str], *, device: str, tokens_per_batch: int
) -> list[System]:
    """Ours and the peer in both precisions, from the weights in one embedder's folder."""
    embedder = Embedder.load(folder, device)
    lengths = [len(ids) for ids in embedder.tokenize(texts)]
    room = embedder.about.max_window_tokens - 2
    cut = sum(min(length, room) for length in lengths)

    def ours(precision: torch.dtype) -> Embed:
        return lambda: _embed(embedder, texts, tokens_per_batch, precision)

    return [
        System(OURS, ours(torch.float32), sum(lengths)),
        System(OURS_BF16, ours(torch.bfloat16), sum(lengths)),
        System(PEER, _peer(folder, texts, device, {}), cut),
        System(PEER_BF16, _peer(folder, texts, device, {"dtype": torch.bfloat16}), cut),
    ]


def _embed(
    embedder: Embedder, texts: Sequence[str], tokens_per_batch: int, precision: torch.dtype
) -> NDArray[np.float32]:
    """What the export stage does with the texts of a shard."""
    documents = embed_documents(
        embedder.encoder,
        embedder.tokenize(texts),
        max_window_tokens=embedder.about.max_window_tokens,
        tokens_per_batch=tokens_per_batch,
        precision=precision,
        weights_V=embedder.weights_V,
    )
    return documents.vectors


def _peer(folder: Path, texts: Sequence[str], device: str, settings: dict[str, Any]) -> Embed:
    """`SentenceTransformer.encode` at its defaults; what is longer than a window, it cuts off."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device=device, model_kwargs=settings)
    return lambda: np.asarray(model.encode(list(texts), show_progress_bar=False), dtype=np.float32)
