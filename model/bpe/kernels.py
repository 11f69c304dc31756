"""The merge loop of the fast learner, compiled.

The corpus is one array of nodes, a node per symbol of the distinct words, linked into words. Each
node knows the pair that starts at it. A pair keeps its frequency and a slice of `occurrences`:
the nodes where it started when it was born. Three facts keep this small:

- All occurrences of a pair are born in one merge, the one that makes the newer of its symbols. So
  no pair is ever looked up by hash: while symbol `c` is being made, a pair (x, c) or (c, y) is
  found by its neighbour alone, and afterwards its frequency can only fall.
- Occurrences are visited in text order and born in text order, so every slice ascends, and runs
  such as `aaaa` are merged from the left. A stale occurrence is one whose node names another pair.
- Frequencies only fall, so a stale queue entry is an upper bound: the top is taken when its
  recorded frequency is still true, and is put back with the true one otherwise.

Letters: N nodes, P pairs, V symbols, M merges, E events (births of occurrences in one merge).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.bpe.alphabet import Int32s
from model.bpe.words import Int64s
from model.compiled import NONE_YET, compiled

AHEAD = 16  # occurrences: so far ahead memory is touched, that nothing may wait for it
GONE = -1  # no neighbour, or no pair worth following

NODE = np.dtype(
    [
        ("symbol", np.int32),
        ("previous", np.int32),
        ("next", np.int32),
        ("pair", np.int32),
        ("weight", np.int64),
    ]
)
PAIR = np.dtype(
    [
        ("frequency", np.int64),
        ("begin", np.int64),  # its slice of `occurrences`
        ("end", np.int64),
        ("left", np.int32),
        ("right", np.int32),
    ]
)
ENTRY = np.dtype([("frequency", np.int64), ("symbols", np.int64), ("pair", np.int64)])
SIZES = np.dtype(
    [
        (name, np.int64)
        for name in ("pairs", "queue", "occurrences", "symbols", "merges", "rounds", "touched")
    ]
)


class State(NamedTuple):
    """All the learner's memory; the kernels allocate nothing."""

    nodes_N: npt.NDArray[Any]
    pairs_P: npt.NDArray[Any]
    queue_P: npt.NDArray[Any]
    occurrences: Int32s  # 3 N: every merge removes a node and bears at most two occurrences
    event_pair_E: Int32s
    event_node_E: Int32s
    pair_after_V: Int32s  # the newest pair (x, new symbol), by x
    pair_before_V: Int32s  # the newest pair (new symbol, y), by y
    round_left_V: Int32s  # the last round that chose a pair with this symbol on the left
    round_right_V: Int32s
    chosen: Int32s  # top_k
    refused: Int32s  # refusal_limit(top_k)
    renumbered: Int32s  # 2 V: what became of each new pair
    merges_M2: Int32s
    frequencies_M: Int64s  # of each merged pair when it was chosen
    joined_M: Int64s  # by how many tokens each merge shortened the corpus
    sizes: npt.NDArray[Any]  # one record: how much is in use; `touched` keeps AHEAD from going


@compiled
def run_rounds(
    state: State, num_rounds: int, room: int, top_k: int, num_merges: int, floor: int
) -> bool:
    """Run up to `num_rounds` rounds while `pairs_P` has `room`; false when no pair is left.

    `room` is the most pairs a round can begin, `floor` the least frequency worth merging.
    """
    sizes = state.sizes[0]
    for _ in range(num_rounds):
        if sizes["pairs"] + room > len(state.pairs_P):
            return True
        num_wanted = min(top_k, num_merges - sizes["merges"])
        num_chosen = choose(state, num_wanted, floor)
        if num_chosen == 0:
            return False
        sizes["rounds"] += 1
        for rank in range(num_chosen):
            merge(state, state.chosen[rank], floor)
    return True


@compiled
def choose(state: State, num_wanted: int, floor: int) -> int:
    """Take the next pairs that do not compete into `chosen`, by the reference's rule."""
    sizes = state.sizes[0]
    round_id = sizes["rounds"] + 1
    num_chosen = num_refused = 0
    while num_chosen < num_wanted and num_refused < len(state.refused):
        pair_id = take_first(state, floor)
        if pair_id == GONE:
            break
        pair = state.pairs_P[pair_id]
        left, right = pair["left"], pair["right"]
        if state.round_right_V[left] == round_id or state.round_left_V[right] == round_id:
            state.refused[num_refused] = pair_id
            num_refused += 1
        else:
            state.round_left_V[left] = state.round_right_V[right] = round_id
            state.chosen[num_chosen] = pair_id
            num_chosen += 1
    for rank in range(num_refused):
        put_back(state, int(np.int64(state.refused[rank])))
    return num_chosen


@compiled
def merge(state: State, pair_id: int, floor: int) -> None:
    """Join every occurrence of a pair into the next new symbol."""
    nodes, pairs, sizes = state.nodes_N, state.pairs_P, state.sizes[0]
    left, right = pairs[pair_id]["left"], pairs[pair_id]["right"]
    rank, symbol = sizes["merges"], sizes["symbols"]
    state.merges_M2[rank, 0], state.merges_M2[rank, 1] = left, right
    state.frequencies_M[rank] = pairs[pair_id]["frequency"]
    state.joined_M[rank] = 0
    sizes["merges"] += 1
    sizes["symbols"] += 1
    first_new_pair = sizes["pairs"]
    num_events = int(NONE_YET)
    touched, end = 0, pairs[pair_id]["end"]
    for place in range(pairs[pair_id]["begin"], end):
        ahead = state.occurrences[min(place + AHEAD, end - 1)]
        touched ^= nodes[ahead]["pair"]
        at = state.occurrences[place]
        node = nodes[at]
        if node["pair"] != pair_id:
            continue
        absorbed = nodes[node["next"]]
        before, after = node["previous"], absorbed["next"]
        state.joined_M[rank] += node["weight"]
        end_pair(pairs, absorbed, node["weight"])
        absorbed["symbol"] = GONE
        node["symbol"], node["next"], node["pair"] = symbol, after, GONE
        if before != GONE:
            neighbour = int(np.int64(nodes[before]["symbol"]))
            end_pair(pairs, nodes[before], node["weight"])
            new_pair = state.pair_after_V[neighbour]
            if new_pair == GONE:
                new_pair = state.pair_after_V[neighbour] = begin_pair(state, neighbour, symbol)
            num_events = bear(state, new_pair, before, num_events)
        if after != GONE:
            neighbour = int(np.int64(nodes[after]["symbol"]))
            nodes[after]["previous"] = at
            new_pair = state.pair_before_V[neighbour]
            if new_pair == GONE:
                new_pair = state.pair_before_V[neighbour] = begin_pair(state, symbol, neighbour)
            num_events = bear(state, new_pair, at, num_events)
    sizes["touched"] = touched
    keep_frequent(state, first_new_pair, num_events, floor)


@compiled
def end_pair(pairs: Any, node: Any, weight: int) -> None:
    """The pair that starts at `node` is no more."""
    if node["pair"] != GONE:
        pairs[node["pair"]]["frequency"] -= weight
        node["pair"] = GONE


@compiled
def begin_pair(state: State, left: int, right: int) -> int:
    """The id of a pair that was never seen before."""
    sizes = state.sizes[0]
    pair = state.pairs_P[sizes["pairs"]]
    pair["left"], pair["right"] = left, right
    pair["frequency"] = pair["begin"] = pair["end"] = 0
    sizes["pairs"] += 1
    return int(sizes["pairs"] - 1)


@compiled
def bear(state: State, pair_id: int, at: int, num_events: int) -> int:
    """Record that `pair_id` now starts at node `at`."""
    state.nodes_N[at]["pair"] = pair_id
    state.pairs_P[pair_id]["frequency"] += state.nodes_N[at]["weight"]
    state.pairs_P[pair_id]["end"] += 1
    state.event_pair_E[num_events] = pair_id
    state.event_node_E[num_events] = at
    return num_events + 1


@compiled
def keep_frequent(state: State, first_new_pair: int, num_events: int, floor: int) -> None:
    """Renumber the new pairs that can still be merged, queue them, and forget the rest.

    Until here `end` counted a new pair's occurrences; now it becomes the end of its slice.
    """
    pairs, sizes = state.pairs_P, state.sizes[0]
    num_new = sizes["pairs"]
    sizes["pairs"] = first_new_pair
    for old_id in range(first_new_pair, num_new):
        num_occurrences = pairs[old_id]["end"]
        new_id = sizes["pairs"]
        state.pair_after_V[pairs[old_id]["left"]] = GONE
        state.pair_before_V[pairs[old_id]["right"]] = GONE
        state.renumbered[old_id - first_new_pair] = GONE
        if pairs[old_id]["frequency"] >= floor:
            state.renumbered[old_id - first_new_pair] = new_id
            pairs[new_id] = pairs[old_id]
            pairs[new_id]["begin"] = pairs[new_id]["end"] = sizes["occurrences"]
            sizes["occurrences"] += num_occurrences
            sizes["pairs"] += 1
            put_back(state, new_id)
    for event in range(num_events):
        old_id, at = state.event_pair_E[event], state.event_node_E[event]
        if state.nodes_N[at]["pair"] == old_id:  # else it ended again in this very merge
            new_id = state.renumbered[old_id - first_new_pair]
            state.nodes_N[at]["pair"] = new_id
            if new_id != GONE:
                state.occurrences[pairs[new_id]["end"]] = at
                pairs[new_id]["end"] += 1


@compiled
def take_first(state: State, floor: int) -> int:
    """The pair to merge next, removed from the queue; GONE when none reaches `floor`."""
    queue, pairs, sizes = state.queue_P, state.pairs_P, state.sizes[0]
    while sizes["queue"] > 0:
        first = queue[0]["pair"]
        frequency = pairs[first]["frequency"]
        is_current = queue[0]["frequency"] == frequency
        if is_current or frequency < floor:
            sizes["queue"] -= 1
            queue[0] = queue[sizes["queue"]]
        else:
            queue[0]["frequency"] = frequency
        sink(queue, sizes["queue"])
        if is_current:
            return int(first)
    return GONE


@compiled
def sink(queue: Any, num_queued: int) -> None:
    """Restore the binary heap after its first entry changed."""
    if num_queued == 0:
        return
    frequency, symbols, pair = queue[0]["frequency"], queue[0]["symbols"], queue[0]["pair"]
    parent = int(NONE_YET)
    child = parent + 1
    while child < num_queued:
        if child + 1 < num_queued and goes_before(
            queue[child + 1]["frequency"], queue[child + 1]["symbols"], queue[child]
        ):
            child += 1
        if goes_before(frequency, symbols, queue[child]):
            break
        move(queue, child, parent)
        parent, child = child, 2 * child + 1
    fill(queue[parent], frequency, symbols, pair)


@compiled
def put_back(state: State, pair_id: int) -> None:
    """Queue a pair under its present frequency."""
    queue, sizes = state.queue_P, state.sizes[0]
    pair = state.pairs_P[pair_id]
    frequency = pair["frequency"]
    symbols = np.int64(pair["left"]) << 32 | np.int64(pair["right"])
    child = sizes["queue"]
    sizes["queue"] += 1
    while child > 0:
        parent = (child - 1) >> 1
        if not goes_before(frequency, symbols, queue[parent]):
            break
        move(queue, parent, child)
        child = parent
    fill(queue[child], frequency, symbols, pair_id)


@compiled
def move(queue: Any, source: int, target: int) -> None:
    """Copy an entry."""
    entry = queue[source]
    fill(queue[target], entry["frequency"], entry["symbols"], entry["pair"])


@compiled
def fill(entry: Any, frequency: int, symbols: int, pair_id: int) -> None:
    """Write an entry."""
    entry["frequency"], entry["symbols"], entry["pair"] = frequency, symbols, pair_id


@compiled
def goes_before(frequency: int, symbols: int, other: Any) -> bool:
    """Whether a pair is merged before that of a queue entry: frequency, then ids."""
    if frequency != other["frequency"]:
        return bool(frequency > other["frequency"])
    return bool(symbols < other["symbols"])
