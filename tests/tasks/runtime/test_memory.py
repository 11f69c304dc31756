import subprocess
import sys

import pytest

from tasks.runtime.memory import _glibc

# Counts the pages that the system hands out anew while 64 MiB are taken, filled and freed thrice.
COUNT_PAGES = """
import ctypes, resource
from tasks.runtime.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 64 * 1024**2

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        memory = libc.malloc(SIZE)
        libc.memset(memory, 1, SIZE)
        libc.free(memory)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

outside, at_first = new_pages(), resident_pages()
with keep_freed_memory():
    new_pages()
    inside, kept = new_pages(), resident_pages()
print(outside, inside, new_pages(), kept - at_first, resident_pages() - at_first)
"""


@pytest.mark.skipif(_glibc() is None, reason="there is no glibc here")
def test_freed_memory_is_used_again_inside_and_given_back_after() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_PAGES], capture_output=True, text=True, check=True
    )
    outside, inside, afterwards, kept, left = map(int, done.stdout.split())
    once = 64 * 1024**2 // 4096
    assert inside < once / 100
    assert min(outside, afterwards) >= 3 * once / 512  # pages may be of 2 MiB
    assert kept > once / 2
    assert left < once / 4


# Fills small pieces and frees all but the last, which keeps the heap's top where it is.
KEEP_THE_LAST = """
import ctypes
from tasks.runtime.memory import hand_back_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

pieces = [libc.malloc(4096) for _ in range(64 * 1024**2 // 4096)]
for piece in pieces:
    libc.memset(piece, 1, 4096)
for piece in pieces[:-1]:
    libc.free(piece)
kept = resident_pages()
hand_back_freed_memory()
print(kept - resident_pages())
"""


@pytest.mark.skipif(_glibc() is None, reason="there is no glibc here")
def test_holes_in_the_heap_are_handed_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEEP_THE_LAST], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 64 * 1024**2 // 4096 / 2
