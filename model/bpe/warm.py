"""Compiles the kernels of counting and learning before they are needed, and says so.

Numba compiles on the first call on a machine and keeps the result. Left to itself it would do so
silently, inside the first call that does real work.
"""

import time
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


def warm_up(say: Callable[[str], None]) -> float:
    """Have every kernel ready; `say` gets one line if that means compiling them now.

    Returns:
        The seconds that compiling took; 0 where nothing had to be compiled.
    """
    began_s = time.perf_counter()
    for kernel, arguments in _PROBES:
        kernel(*arguments)
    compiles = any(kernel.stats.cache_misses for kernel, _ in _PROBES)
    if compiles:
        say(f"compiling the vocabulary learner, once on this machine (about {COMPILE_S} s)")
    many = " ".join(str(number) for number in range(FIRST_SLOTS))  # more than a table begins with
    words = count_words(["lower", many, "a long word" * 9], "eow")
    learn(add_up([words]).first(100), num_merges=3)
    return time.perf_counter() - began_s if compiles else 0.0
