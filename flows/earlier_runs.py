"""Frees what earlier runs have left in a process that lives on."""

import gc
import itertools

from tasks.runtime.memory import hand_back_freed_memory

_runs = itertools.count()


def free_what_earlier_runs_left() -> None:
    """Collect the cycles of the runs before this one, and hand their memory back; nothing where
    this is the first in its process.

    Python comes to the oldest objects only when those that wait are a quarter of those that live,
    of which the libraries alone make 700,000. Until then many refreshes pass, each of which leaves
    three thousand, and what they hold.
    """
    if next(_runs):
        gc.collect()
        hand_back_freed_memory()
