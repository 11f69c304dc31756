"""The learner's first state: words as linked nodes, and all pairs of symbols with where they stand.

Letters: N nodes, K possible pairs of first symbols, P pairs, V symbols, M merges.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.bpe.alphabet import Alphabet, Int32s
from model.bpe.kernels import ENTRY, GONE, NODE, PAIR, SIZES, State
from model.bpe.reference import refusal_limit
from model.bpe.words import CountedWords, Int64s
from model.compiled import compiled
from model.errors import CorpusError

DENSE_SYMBOLS = 256  # up to so many, all pairs of them are numbered


class Keys(NamedTuple):
    """A number for the pair that starts at each node, GONE at the end of a word.

    Attributes:
        key_N: int32.
        left_K, right_K: the symbols of each pair, in the order of pairs.
    """

    key_N: Int32s
    left_K: Int32s
    right_K: Int32s


def initial_state(
    words: CountedWords, alphabet: Alphabet, *, num_merges: int, top_k: int, floor: int
) -> State:
    """The state before the first merge; pairs seen less often than `floor` are not followed.

    Raises:
        CorpusError: the distinct words take 2 GiB or more.
    """
    if len(words.text_N) >= np.iinfo(np.int32).max:
        raise CorpusError(
            f"the distinct words of the corpus take {len(words.text_N):,} bytes, more than the "
            "2 GiB that fit the vocabulary learner: set vocab.max_pretokens to learn from the "
            "most frequent ones"
        )
    symbols_N, lengths = alphabet.split_all(words)
    nodes_N = np.empty(len(symbols_N), dtype=NODE)
    link(symbols_N, lengths, words.counts, nodes_N)
    occurrences = np.empty(3 * len(nodes_N), dtype=np.int32)
    pairs_P = _first_pairs(nodes_N, _keys(symbols_N, lengths, len(alphabet)), occurrences, floor)
    num_symbols = len(alphabet) + num_merges
    sizes = np.zeros(1, dtype=SIZES)
    sizes["pairs"] = sizes["queue"] = len(pairs_P)
    sizes["occurrences"] = pairs_P["end"][-1] if len(pairs_P) else 0
    sizes["symbols"] = len(alphabet)
    return State(
        nodes_N=nodes_N,
        pairs_P=pairs_P,
        queue_P=_sorted_queue(pairs_P),
        occurrences=occurrences,
        event_pair_E=np.empty(len(nodes_N), dtype=np.int32),
        event_node_E=np.empty(len(nodes_N), dtype=np.int32),
        pair_after_V=np.full(num_symbols, GONE, dtype=np.int32),
        pair_before_V=np.full(num_symbols, GONE, dtype=np.int32),
        round_left_V=np.zeros(num_symbols, dtype=np.int32),
        round_right_V=np.zeros(num_symbols, dtype=np.int32),
        chosen=np.empty(top_k, dtype=np.int32),
        refused=np.empty(refusal_limit(top_k), dtype=np.int32),
        renumbered=np.empty(2 * num_symbols, dtype=np.int32),
        merges_M2=np.empty((num_merges, 2), dtype=np.int32),
        frequencies_M=np.empty(num_merges, dtype=np.int64),
        joined_M=np.empty(num_merges, dtype=np.int64),
        sizes=sizes,
    )


def _keys(symbols_N: Int32s, lengths: Int64s, num_symbols: int) -> Keys:
    left, right = symbols_N[:-1], symbols_N[1:]
    if num_symbols <= DENSE_SYMBOLS:
        values = np.arange(num_symbols**2)
        key_N = np.full(len(symbols_N), GONE, dtype=np.int32)
        np.add(left * np.int32(num_symbols), right, out=key_N[:-1])
    else:
        pairs = np.append(left.astype(np.int64) * num_symbols + right, 0)
        values, inverse = np.unique(pairs, return_inverse=True)
        key_N = inverse.astype(np.int32)
    key_N[np.cumsum(lengths) - 1] = GONE
    left_K, right_K = np.divmod(values, num_symbols)
    return Keys(key_N, left_K.astype(np.int32), right_K.astype(np.int32))


def _first_pairs(
    nodes_N: npt.NDArray[Any], keys: Keys, occurrences: Int32s, floor: int
) -> npt.NDArray[Any]:
    """The pairs that reach `floor`, in order; writes them into the nodes, and where they stand."""
    counted_K = np.zeros(len(keys.left_K), dtype=PAIR)
    counted_K["left"], counted_K["right"] = keys.left_K, keys.right_K
    count_keys(nodes_N, keys.key_N, counted_K)
    kept_K = (counted_K["frequency"] >= floor) & (counted_K["end"] > 0)
    pairs_P = counted_K[kept_K]
    pairs_P["begin"] = np.cumsum(pairs_P["end"]) - pairs_P["end"]
    pairs_P["end"] = pairs_P["begin"]
    pair_K = np.where(kept_K, np.cumsum(kept_K) - 1, GONE).astype(np.int32)
    place_pairs(nodes_N, keys.key_N, pair_K, pairs_P, occurrences)
    return pairs_P


def _sorted_queue(pairs_P: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The queue in merge order, which is also a valid heap."""
    order = np.argsort(-pairs_P["frequency"], kind="stable")  # ties stay in the order of pairs
    queue_P = np.empty(len(pairs_P), dtype=ENTRY)
    queue_P["frequency"] = pairs_P["frequency"][order]
    queue_P["symbols"] = pairs_P["left"][order].astype(np.int64) << 32 | pairs_P["right"][order]
    queue_P["pair"] = order
    return queue_P


@compiled
def link(symbols_N: Int32s, lengths: Int64s, counts: Int64s, nodes_N: npt.NDArray[Any]) -> None:
    """Write one node a symbol, linked to its neighbours in the word."""
    begin = 0
    for word in range(len(lengths)):
        end = begin + lengths[word]
        for at in range(begin, end):
            node = nodes_N[at]
            node["symbol"] = symbols_N[at]
            node["previous"] = at - 1 if at > begin else GONE
            node["next"] = at + 1 if at + 1 < end else GONE
            node["pair"] = GONE
            node["weight"] = counts[word]
        begin = end


@compiled
def count_keys(nodes_N: npt.NDArray[Any], key_N: Int32s, counted_K: npt.NDArray[Any]) -> None:
    """Add up each pair's frequency, and in `end` how often it stands in the distinct words."""
    for at in range(len(key_N)):
        if key_N[at] != GONE:
            counted = counted_K[key_N[at]]
            counted["frequency"] += nodes_N[at]["weight"]
            counted["end"] += 1


@compiled
def place_pairs(
    nodes_N: npt.NDArray[Any],
    key_N: Int32s,
    pair_K: Int32s,
    pairs_P: npt.NDArray[Any],
    occurrences: Int32s,
) -> None:
    """Write into each node the pair that starts there, and into the pair's slice the node."""
    for at in range(len(key_N)):
        if key_N[at] != GONE and pair_K[key_N[at]] != GONE:
            pair = pair_K[key_N[at]]
            nodes_N[at]["pair"] = pair
            occurrences[pairs_P[pair]["end"]] = at
            pairs_P[pair]["end"] += 1
