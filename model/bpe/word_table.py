"""The hash table that words are counted in, compiled.

A slot takes 32 bytes, half a cache line. A word of up to 15 bytes lies in the slot itself, padded
with zeros, its length in the last byte; so most look-ups touch one line and compare two numbers.
A longer word leaves there its hash and its length, and its bytes lie in an arena. Collisions go to
the next slot. The table never grows inside a kernel: what has no room is left for the next call.

Words are found in batches, scanned first and looked up afterwards, so that the memory accesses of
many look-ups are under way at once.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.bpe.characters import SPACE
from model.bpe.scanner import EOW, class_at, pretoken_end
from model.bpe.words import Bytes, Int64s
from model.compiled import NONE_YET, compiled

Uint64s = npt.NDArray[np.uint64]

SLOT = np.dtype(
    [
        ("low", np.uint64),  # the first 8 bytes, or the hash of a longer word
        ("high", np.uint64),  # the next 7 bytes and the length, or LONG and the length
        ("count", np.int64),
        ("where", np.int64),  # of a longer word in the arena
    ]
)
SIZES = np.dtype([("words", np.int64), ("arena", np.int64)])

BATCH_WORDS = 256
MAX_INLINE_BYTES = 15
PADDING_BYTES = 24  # behind a text, so that three whole numbers can be read anywhere in it

_LONG = np.uint64(0xFF << 56)
_WORD = np.uint64(64)
_SHIFTED = np.uint64(29)
_LOW_MASKS = np.array([2 ** (8 * min(n, 8)) - 1 for n in range(16)], dtype=np.uint64)
_HIGH_MASKS = np.array([2 ** (8 * max(n - 8, 0)) - 1 for n in range(16)], dtype=np.uint64)
_FIRST_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SECOND_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)


class Table(NamedTuple):
    """The slots, a power of two of them, the bytes of longer words, and how much is in use."""

    slots: npt.NDArray[Any]
    arena: Bytes
    sizes: npt.NDArray[Any]


class Batch(NamedTuple):
    """Scanned words, BATCH_WORDS of each."""

    starts: Int64s
    ends: Int64s
    low: Uint64s
    high: Uint64s
    counts: Int64s
    slots: Int64s  # where to look first
    touched: Uint64s  # one number, so that touching memory is not optimised away


class Text(NamedTuple):
    """Documents back to back, `PADDING_BYTES` of zeros behind them.

    Attributes:
        bytes_N: UTF-8.
        words_N8: the same memory in numbers of eight bytes.
        ends: where each document ends.
    """

    bytes_N: Bytes
    words_N8: Uint64s
    ends: Int64s


@compiled
def count_text(
    pattern: int, text: Text, at: int, document: int, classes: Bytes, table: Table, batch: Batch
) -> tuple[int, int]:
    """Count the pretokens from `at` in `document` on.

    Returns where the next call has to go on; the number of documents when all is counted.
    """
    while document < len(text.ends):
        if 2 * (table.sizes[0]["words"] + BATCH_WORDS) > len(table.slots):
            break
        first_document, num_scanned = document, int(NONE_YET)
        after = at
        while num_scanned < BATCH_WORDS and document < len(text.ends):
            if after >= text.ends[document]:
                document += 1
                continue
            begin = after
            after = pretoken_end(pattern, text.bytes_N, begin, text.ends[document], classes)
            if pattern == EOW and class_at(text.bytes_N, begin, classes)[0] >= SPACE:
                continue
            put_key(text, begin, after, batch, num_scanned)
            batch.counts[num_scanned] = 1
            num_scanned += 1
        find_slots(batch, num_scanned, table)
        num_added = add_batch(text.bytes_N, batch, num_scanned, table)
        if num_added < num_scanned:
            at, document = batch.starts[num_added], first_document
            while at >= text.ends[document]:
                document += 1
            break
        at = after
    return at, document


@compiled
def count_words(text: Text, first: int, counts: Int64s, table: Table, batch: Batch) -> int:
    """Add words with their counts, `text.ends` telling them apart; returns the next one to add."""
    while first < len(counts):
        if 2 * (table.sizes[0]["words"] + BATCH_WORDS) > len(table.slots):
            break
        num_scanned = min(BATCH_WORDS, len(counts) - first)
        for number in range(num_scanned):
            word = first + number
            begin = text.ends[word - 1] if word else 0
            put_key(text, begin, text.ends[word], batch, number)
            batch.counts[number] = counts[word]
        find_slots(batch, num_scanned, table)
        num_added = add_batch(text.bytes_N, batch, num_scanned, table)
        first += num_added
        if num_added < num_scanned:
            break
    return first


@compiled
def put_key(text: Text, begin: int, end: int, batch: Batch, number: int) -> None:
    """Write where a word lies and what it is looked up by."""
    batch.starts[number], batch.ends[number] = begin, end
    length = end - begin
    if length <= MAX_INLINE_BYTES:
        low, high = load(text.words_N8, begin)
        batch.low[number] = low & _LOW_MASKS[length]
        batch.high[number] = high & _HIGH_MASKS[length] | np.uint64(length) << np.uint64(56)
    else:
        batch.low[number] = hash_of(text.bytes_N, begin, end)
        batch.high[number] = _LONG | np.uint64(length)


@compiled
def load(words_N8: Uint64s, at: int) -> tuple[np.uint64, np.uint64]:
    """The 16 bytes from `at` on, as two little-endian numbers."""
    place, shift = at >> 3, np.uint64((at & 7) << 3)
    first, second = words_N8[place], words_N8[place + 1]
    if shift == 0:
        return first, second
    rest = _WORD - shift
    return first >> shift | second << rest, second >> shift | words_N8[place + 2] << rest


@compiled
def hash_of(text_N: Bytes, begin: int, end: int) -> np.uint64:
    """A hash of bytes (FNV-1a with a stronger mix at the end)."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(begin, end):
        value = (value ^ np.uint64(text_N[at])) * np.uint64(0x100000001B3)
    return np.uint64(mixed(value, np.uint64(end - begin)))


@compiled
def mixed(low: np.uint64, high: np.uint64) -> np.uint64:
    """One well-mixed number out of two."""
    value = (low * _FIRST_FACTOR) ^ (high * _SECOND_FACTOR)
    value = (value ^ value >> np.uint64(32)) * _FIRST_FACTOR
    return np.uint64(value ^ value >> _SHIFTED)


@compiled
def find_slots(batch: Batch, num_scanned: int, table: Table) -> None:
    """Work out the first slot of each word, and touch them all while nothing waits for them."""
    mask = len(table.slots) - 1
    touched = np.uint64(0)
    for number in range(num_scanned):
        index = np.int64(mixed(batch.low[number], batch.high[number])) & mask
        batch.slots[number] = index
        touched ^= table.slots[index]["high"]
    batch.touched[0] = touched


@compiled
def add_batch(text_N: Bytes, batch: Batch, num_scanned: int, table: Table) -> int:
    """Add each word's count; returns how many words had room."""
    for number in range(num_scanned):
        if not add_word(text_N, batch, number, table):
            return number
    return num_scanned


@compiled
def add_word(text_N: Bytes, batch: Batch, number: int, table: Table) -> bool:
    """Add to a word's count, which is new where it is not found; false without room."""
    low, high = batch.low[number], batch.high[number]
    begin = batch.starts[number]
    mask = len(table.slots) - 1
    index = batch.slots[number]
    while table.slots[index]["high"] != 0:
        slot = table.slots[index]
        if slot["low"] == low and slot["high"] == high:
            length = batch.ends[number] - begin
            if length <= MAX_INLINE_BYTES or same(
                table.arena, slot["where"], text_N, begin, length
            ):
                slot["count"] += batch.counts[number]
                return True
        index = (index + 1) & mask
    return bool(new_word(text_N, batch, number, table, index))


@compiled
def new_word(text_N: Bytes, batch: Batch, number: int, table: Table, index: int) -> bool:
    """Fill an empty slot."""
    begin, end = batch.starts[number], batch.ends[number]
    slot, where = table.slots[index], table.sizes[0]["arena"]
    if end - begin > MAX_INLINE_BYTES:
        if where + end - begin > len(table.arena):
            return False
        copy_bytes(text_N, begin, end - begin, table.arena, where)
        table.sizes[0]["arena"] = where + end - begin
    slot["low"], slot["high"] = batch.low[number], batch.high[number]
    slot["count"], slot["where"] = batch.counts[number], where
    table.sizes[0]["words"] += 1
    return True


@compiled
def copy_bytes(source: Bytes, begin: int, length: int, target: Bytes, at: int) -> None:
    """Copy so many bytes; a slice would allocate."""
    for offset in range(length):
        target[at + offset] = source[begin + offset]


@compiled
def same(arena: Bytes, where: int, text_N: Bytes, begin: int, length: int) -> bool:
    """Whether the arena holds these bytes."""
    offset = 0
    while offset < length and arena[where + offset] == text_N[begin + offset]:
        offset += 1
    return bool(offset == length)


@compiled
def move_slots(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> None:
    """Enter every word of one table into a larger, empty one."""
    mask = len(new) - 1
    for number in range(len(old)):
        slot = old[number]
        if slot["high"] != 0:
            index = np.int64(mixed(slot["low"], slot["high"])) & mask
            while new[index]["high"] != 0:
                index = (index + 1) & mask
            new[index] = slot


@compiled
def hash_slots(slots: npt.NDArray[Any], used: Int64s, hashes: Uint64s) -> None:
    """The hash of the word in each slot of `used`."""
    for place in range(len(used)):
        slot = slots[used[place]]
        hashes[place] = mixed(slot["low"], slot["high"])


@compiled
def write_words(slots: npt.NDArray[Any], order: Int64s, arena: Bytes, text_N: Bytes) -> None:
    """Write the words of the slots named by `order` one after another."""
    at = int(NONE_YET)
    for number in order:
        slot = slots[number]
        high = slot["high"]
        length = np.int64(high >> np.uint64(56))
        if length <= MAX_INLINE_BYTES:
            for offset in range(length):
                source = slot["low"] if offset < 8 else high
                text_N[at + offset] = source >> np.uint64(8 * (offset & 7)) & np.uint64(0xFF)
        else:
            length = np.int64(high & ~_LONG)
            copy_bytes(arena, slot["where"], length, text_N, at)
        at += int(length)
