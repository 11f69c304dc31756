"""The processes that train one model together: what they add up and what they agree on.

Each process is a rank. All ranks call the same methods in the same order.
"""

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import default_pg_timeout
from torch.nn.parallel import DistributedDataParallel

# Small sums are made of CPU tensors, so that on a GPU they wait for no kernel.
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's place among those that train together; alone, nothing is exchanged.

    Attributes:
        rank: from 0; the first one reports and writes checkpoints.
        num_ranks: how many there are.
    """

    rank: int = 0
    num_ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that speaks for all."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Adds up `values` (any shape and dtype, the same on all ranks) in place; returns them.

        Every rank gets the same bits.
        """
        if self.num_ranks > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Returns when all ranks are here."""
        self.sum(torch.zeros(1))

    def first_says(self, text: str) -> str:
        """The first rank's `text`; what the others hand over does not matter."""
        encoded = text.encode() if self.is_first else b""
        num_bytes = int(self.sum(torch.tensor(len(encoded))))
        said = torch.zeros(num_bytes, dtype=torch.uint8)
        said[: len(encoded)] = torch.tensor(list(encoded), dtype=torch.uint8)
        return bytes(self.sum(said).tolist()).decode()

    def wrapped(self, model: nn.Module) -> nn.Module:
        """A module that is called in place of `model` and averages gradients over the ranks.

        All ranks get the first one's weights. Li et al. 2020, "PyTorch Distributed".
        """
        if self.num_ranks == 1:
            return model
        return DistributedDataParallel(
            model, forward_sync_buffers=False, gradient_as_bucket_view=True
        )

    @staticmethod
    def apart(wrapped: nn.Module) -> AbstractContextManager[object]:
        """Passes of a `wrapped` model in here add to the gradients of this rank only."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()


ALONE = Ranks()


@contextmanager
def joined(device: torch.device, meeting: Path | None = None) -> Iterator[Ranks]:
    """The ranks that the variables of `torch.distributed.run` tell of, joined until the end.

    Args:
        device: where this rank's model is; sums of GPU tensors go over NCCL, others over gloo.
            On a GPU it must be the current device.
        meeting: a file that is not there yet, by which the ranks of one machine find each other;
            without it at the address that the variables tell, where torch listens to everybody.
    """
    # DistributedDataParallel loads it; loaded while the group exists, it keeps it from ending.
    importlib.import_module("torch._dynamo")
    rank, num_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = None
    if meeting:
        store = distributed.FileStore(str(meeting), num_ranks)
        # torch does so with a store that it makes itself; the file's own would be five minutes.
        store.set_timeout(default_pg_timeout)
    distributed.init_process_group(
        BACKENDS[device.type], store=store, rank=rank, world_size=num_ranks
    )
    try:
        yield Ranks(rank=distributed.get_rank(), num_ranks=distributed.get_world_size())
    finally:
        gc.collect()  # wrapped models that are out of use would keep the group's threads alive
        distributed.destroy_process_group()
