"""When freed memory stays in the process, and when it goes back to the system."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -3, -4, -8
TRAINING = {
    M_MMAP_MAX: 0,  # no allocation gets a mapping of its own
    M_TRIM_THRESHOLD: -1,  # nothing is handed back
    M_ARENA_MAX: 1,  # the other arenas hold small pieces only and would map the large ones again
    M_TOP_PAD: 256 * 1024**2,  # bytes to ask for beyond what is needed
}
# Once set, the thresholds no longer adjust themselves, so they are left where that would have
# brought them in a process that frees large pieces; at their small defaults every tensor is mapped.
AFTERWARDS = {
    M_MMAP_MAX: 65536,
    M_MMAP_THRESHOLD: 32 * 1024**2,
    M_TRIM_THRESHOLD: 64 * 1024**2,
    M_ARENA_MAX: 0,
    M_TOP_PAD: 128 * 1024,
}


@contextmanager
def keep_freed_memory(device_type: str = "cpu") -> Iterator[None]:
    """Lets glibc keep what is freed in the block for the next allocation.

    Does nothing where training is on another device than the CPU, or the C library another.

    Without it every large tensor of a training step is mapped, zeroed by the kernel page by page
    and unmapped again in each step. The price is that memory stays at its highest level until the
    block ends, where it goes back to the system.

    Holds for the whole process. Threads that began inside the block stay with one arena. Source:
    mallopt(3), malloc_trim(3).
    """
    libc = _glibc() if device_type == "cpu" else None
    if libc is None:
        yield
        return
    _set(libc, TRAINING)
    try:
        yield
    finally:
        _set(libc, AFTERWARDS)
        libc.malloc_trim(0)


def hand_back_freed_memory() -> None:
    """Give the system what the C library keeps of freed memory; nothing where it is not glibc.

    By itself glibc does so at the top of its heap only, under which pieces that live on keep holes
    open. Source: malloc_trim(3).
    """
    if libc := _glibc():
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, where it is glibc."""
    if os.name != "posix":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _set(libc: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        libc.mallopt(option, value)
