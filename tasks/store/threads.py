"""Works on several things at once where the processor would wait: for disks, or for a server."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_THREADS = 8


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, at_most: int = _MAX_THREADS
) -> list[Result]:
    """``function`` of every item, in order; the first failure is raised.

    Args:
        function: of one item.
        items: independent of each other.
        at_most: how many threads.
    """
    num_threads = min(at_most, _MAX_THREADS, len(items))
    if num_threads <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(function, items))
