"""Embedders for the shards to borrow: one on each GPU, or one that uses all of the processor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore

import torch

from tasks.embedder import Embedder
from tasks.runtime.devices import pick_device

# On a processor small batches stay in its caches; a GPU needs large ones to be busy.
_TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 32768}


class Embedders:
    """One embedder a device. Who finds none free waits, so a device computes for one at a time.

    Shards may run in as many threads as they like: one forward pass already uses all cores of a
    processor, and of the others only one a device has room to be read, tokenized or written
    meanwhile. So memory is that of two shards a device.
    """

    def __init__(self, embedders: Sequence[Embedder]) -> None:
        self.about = embedders[0].about
        self.are_on_processors = all(
            next(embedder.encoder.parameters()).device.type == "cpu" for embedder in embedders
        )
        self.tokenize = embedders[0].tokenize
        self.room = BoundedSemaphore(2 * len(embedders))
        self._free: SimpleQueue[Embedder] = SimpleQueue()
        for embedder in embedders:
            self._free.put(embedder)

    @classmethod
    def load(cls, folder: Path, devices: Sequence[torch.device]) -> "Embedders":
        """Read an embedder's folder once for each device.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        return cls([Embedder.load(folder, device) for device in devices])

    @contextmanager
    def borrowed(self) -> Iterator[Embedder]:
        """An embedder that nobody else uses inside the block."""
        embedder = self._free.get()
        try:
            yield embedder
        finally:
            self._free.put(embedder)


def pick_devices(name: str) -> list[torch.device]:
    """All devices of that name: every GPU for ``auto`` where there is one, else one device.

    Raises:
        RequestError: no such device here, or a kind that is not supported.
    """
    device = pick_device(name)
    if name == "auto" and device.type == "cuda":
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [device]


def tokens_per_batch(device: torch.device) -> int:
    """How many positions to encode at once where the settings leave it open."""
    return _TOKENS_PER_BATCH[device.type]
