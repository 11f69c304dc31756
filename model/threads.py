"""Shares work that holds no interpreter lock among as many threads as torch uses."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

_pools: list[ThreadPoolExecutor] = []  # one, once there is work for it


def shared_out(work: Callable[[int, int], None], count: int) -> None:
    """Calls `work(first, end)` for parts of `range(count)`, side by side, until all is done."""
    num_parts = max(1, min(torch.get_num_threads(), count))
    bounds = [count * part // num_parts for part in range(num_parts + 1)]
    others = [_start(work, bounds[part], bounds[part + 1]) for part in range(1, num_parts)]
    work(bounds[0], bounds[1])
    for other in others:
        other.result()


def _start(work: Callable[[int, int], None], first: int, end: int) -> Future[None]:
    if not _pools:
        os.register_at_fork(after_in_child=_pools.clear)  # threads do not outlive a fork
        _pools.append(ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="kernels"))
    return _pools[0].submit(work, first, end)
