"""The fast learner: the reference's merges, for every `top_k`, without recounting.

Cost: each occurrence of a pair is visited once when it is merged or found stale, so the loop is
linear in the bytes of the distinct words, with a random memory access or two per visit; memory is
about 60 bytes for each of those bytes. Frequencies are int64: no corpus overflows them.
The first call on a machine compiles the kernels (cached beside the module or in NUMBA_CACHE_DIR).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bpe import kernels
from model.bpe.alphabet import NUM_BYTES, symbols_of
from model.bpe.kernels import ENTRY, GONE, NODE, PAIR, SIZES, Int32s, Int64s, State
from model.bpe.reference import Pair, refusal_limit
from model.errors import CorpusError

ROUNDS_PER_CALL = 512
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class LearnedMerges:
    """What the learner found.

    Attributes:
        merges: pairs of symbol ids, best first; the symbol of merge r is 256 + r.
        num_rounds: expectation-maximization rounds run.
        num_tokens: tokens of the whole counted corpus after the last merge.
        segmentation: all words' final symbols one after another, in the order of the words.
    """

    merges: list[Pair]
    num_rounds: int
    num_tokens: int
    segmentation: Int32s


def learn(
    words: Iterable[tuple[bytes, int]],
    *,
    num_merges: int,
    top_k: int = 1,
    min_frequency: int = 2,
    on_progress: OnProgress | None = None,
) -> LearnedMerges:
    """Learn merges from distinct words with their counts; fewer than asked when pairs run out.

    The order of the words does not change the merges. `on_progress` is called with merges done
    and merges wanted after every few hundred rounds.
    """
    floor = max(1, min_frequency)
    state = _initial_state(*_flatten(words), num_merges, top_k, floor)
    room = min(2 * top_k * len(state.pair_after_V), 2 * len(state.nodes_N))
    more = num_merges > 0
    while more:
        state = _with_room(state, room)
        more = kernels.run_rounds(state, ROUNDS_PER_CALL, room, top_k, num_merges, floor)
        if on_progress is not None:
            on_progress(int(state.sizes[0]["merges"]), num_merges)
    return _result(state)


def _flatten(words: Iterable[tuple[bytes, int]]) -> tuple[bytes, Int64s, Int64s]:
    """All words as one byte string, with each word's length and count."""
    pairs = [(word, count) for word, count in words if word]
    lengths = np.array([len(word) for word, _ in pairs], dtype=np.int64)
    counts = np.array([count for _, count in pairs], dtype=np.int64)
    return b"".join(word for word, _ in pairs), lengths, counts


def _initial_state(
    text: bytes, lengths: Int64s, counts: Int64s, num_merges: int, top_k: int, floor: int
) -> State:
    if len(text) >= np.iinfo(np.int32).max:
        raise CorpusError(
            f"the distinct words of the corpus take {len(text):,} bytes, more than the 2 GiB that "
            "fit the vocabulary learner; run on a sample of the documents"
        )
    nodes_N = _linked_nodes(text, lengths, counts)
    pairs_P, occurrences = _first_pairs(nodes_N, floor)
    num_nodes, num_symbols = len(nodes_N), NUM_BYTES + num_merges
    sizes = np.zeros(1, dtype=SIZES)
    sizes["pairs"] = sizes["queue"] = len(pairs_P)
    sizes["occurrences"] = len(occurrences)
    return State(
        nodes_N=nodes_N,
        pairs_P=pairs_P,
        queue_P=_sorted_queue(pairs_P),
        occurrences=_enlarged(occurrences, 3 * num_nodes),
        event_pair_E=np.empty(num_nodes, dtype=np.int32),
        event_node_E=np.empty(num_nodes, dtype=np.int32),
        pair_after_V=np.full(num_symbols, GONE, dtype=np.int32),
        pair_before_V=np.full(num_symbols, GONE, dtype=np.int32),
        round_left_V=np.zeros(num_symbols, dtype=np.int32),
        round_right_V=np.zeros(num_symbols, dtype=np.int32),
        chosen=np.empty(top_k, dtype=np.int32),
        refused=np.empty(refusal_limit(top_k), dtype=np.int32),
        renumbered=np.empty(2 * num_symbols, dtype=np.int32),
        merges_M2=np.empty((num_merges, 2), dtype=np.int32),
        sizes=sizes,
    )


def _linked_nodes(text: bytes, lengths: Int64s, counts: Int64s) -> npt.NDArray[Any]:
    """One node a byte, linked to its neighbours in the word."""
    nodes_N = np.empty(len(text), dtype=NODE)
    ends = np.cumsum(lengths)
    nodes_N["symbol"] = symbols_of(text)
    nodes_N["previous"] = np.arange(-1, len(text) - 1)
    nodes_N["previous"][ends - lengths] = GONE
    nodes_N["next"] = np.arange(1, len(text) + 1)
    nodes_N["next"][ends - 1] = GONE
    nodes_N["pair"] = GONE
    nodes_N["weight"] = np.repeat(counts, lengths)
    return nodes_N


def _first_pairs(nodes_N: npt.NDArray[Any], floor: int) -> tuple[npt.NDArray[Any], Int32s]:
    """The pairs of bytes that reach `floor`, written into the nodes too, and their occurrences."""
    starts = np.flatnonzero(nodes_N["next"] != GONE)
    left, right = nodes_N["symbol"][starts], nodes_N["symbol"][starts + 1]
    keys = (left * NUM_BYTES + right).astype(np.uint16)
    order = np.argsort(keys, kind="stable")  # a radix sort for this type; keeps text order
    occurrences, keys = starts[order].astype(np.int32), keys[order]
    first = np.flatnonzero(np.diff(keys.astype(np.int64), prepend=-1))
    num_occurrences = np.diff(first, append=len(keys))
    frequency = np.add.reduceat(nodes_N["weight"][occurrences], first) if len(first) else first
    kept = frequency >= floor
    pairs_P = np.zeros(int(kept.sum()), dtype=PAIR)
    pairs_P["frequency"] = frequency[kept]
    pairs_P["left"], pairs_P["right"] = np.divmod(keys[first][kept], NUM_BYTES)
    pairs_P["end"] = np.cumsum(num_occurrences[kept])
    pairs_P["begin"] = pairs_P["end"] - num_occurrences[kept]
    occurrences = occurrences[np.repeat(kept, num_occurrences)]
    nodes_N["pair"][occurrences] = np.repeat(np.arange(len(pairs_P)), num_occurrences[kept])
    return pairs_P, occurrences


def _sorted_queue(pairs_P: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The queue in merge order, which is also a valid heap."""
    order = np.lexsort((pairs_P["right"], pairs_P["left"], -pairs_P["frequency"]))
    queue_P = np.empty(len(pairs_P), dtype=ENTRY)
    queue_P["frequency"] = pairs_P["frequency"][order]
    queue_P["pair"] = order
    return queue_P


def _with_room(state: State, room: int) -> State:
    """The state with `room` for new pairs at least, doubled so that it is rarely copied."""
    num_needed = int(state.sizes[0]["pairs"]) + room
    if num_needed <= len(state.pairs_P):
        return state
    length = max(num_needed, 2 * len(state.pairs_P))
    return state._replace(
        pairs_P=_enlarged(state.pairs_P, length), queue_P=_enlarged(state.queue_P, length)
    )


def _enlarged(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """A longer copy; memory that is never touched is never claimed."""
    longer = np.empty(length, dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def _result(state: State) -> LearnedMerges:
    sizes, nodes_N = state.sizes[0], state.nodes_N
    merges_M2 = state.merges_M2[: sizes["merges"]]
    is_token = nodes_N["symbol"] != GONE
    return LearnedMerges(
        merges=[(left, right) for left, right in merges_M2.tolist()],
        num_rounds=int(sizes["rounds"]),
        num_tokens=int(nodes_N["weight"][is_token].sum()),
        segmentation=nodes_N["symbol"][is_token],
    )
