"""Compiles the kernels of counting and learning before they are needed, and says so.

Numba compiles on the first call on a machine and keeps the result. Left to itself it would do so
silently, inside the first call that does real work.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from model.bpe.counting import FIRST_SLOTS, add_up, count_words
from model.bpe.learner import learn
from model.bpe.scanner import folded
from model.bpe.word_table import mixed

COMPILE_S = 10
"""About what compiling takes on two cores."""

_PROBES: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (folded, (np.uint8(65), True)),
    (mixed, (np.uint64(1), np.uint64(2))),
)


def warm_up(say: Callable[[str], None]) -> None:
    """Have every kernel ready; `say` gets one line if that means compiling them now."""
    for kernel, arguments in _PROBES:
        kernel(*arguments)
    if any(kernel.stats.cache_misses for kernel, _ in _PROBES):
        say(f"compiling the vocabulary learner, once on this machine (about {COMPILE_S} s)")
    many = " ".join(str(number) for number in range(FIRST_SLOTS))  # more than a table begins with
    words = count_words(["lower", many, "a long word" * 9], "eow")
    learn(add_up([words]).first(100), num_merges=3)
