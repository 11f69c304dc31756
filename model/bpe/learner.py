"""The fast learner: the reference's merges, for every `top_k`, without recounting.

Cost: each occurrence of a pair is visited once when it is merged or found stale, so the loop is
linear in the bytes of the distinct words, with a random memory access or two per visit; memory is
about 60 bytes for each of those bytes. Frequencies are int64: no corpus overflows them.
The first call on a machine compiles the kernels (cached beside the module or in NUMBA_CACHE_DIR).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bpe import kernels
from model.bpe.alphabet import BYTES, Alphabet, Int32s
from model.bpe.initial import initial_state
from model.bpe.kernels import GONE, State
from model.bpe.reference import Pair
from model.bpe.words import CountedWords, Int64s

ROUNDS_PER_CALL = 512
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class LearnedMerges:
    """What the learner found. M merges.

    Attributes:
        alphabet: the symbols it began with.
        merges: pairs of symbol ids, best first; the symbol of merge r is `len(alphabet) + r`.
        frequencies: of each merge's pair when it was chosen, int64 (M).
        num_tokens_after: tokens of the whole counted corpus after the first r merges, for r from
            0 to M, int64 (M + 1): the curve over vocabulary sizes.
        num_rounds: expectation-maximization rounds run.
        segmentation: all words' final symbols one after another, in the order of the words.
    """

    alphabet: Alphabet
    merges: list[Pair]
    frequencies: Int64s
    num_tokens_after: Int64s
    num_rounds: int
    segmentation: Int32s

    @property
    def num_tokens(self) -> int:
        """Tokens of the whole counted corpus after the last merge."""
        return int(self.num_tokens_after[-1])


def learn(
    words: CountedWords,
    *,
    num_merges: int,
    alphabet: Alphabet = BYTES,
    top_k: int = 1,
    min_frequency: int = 2,
    on_progress: OnProgress | None = None,
) -> LearnedMerges:
    """Learn merges from distinct words with their counts; fewer than asked when pairs run out.

    The order of the words does not change the merges. `on_progress` is called with merges done
    and merges wanted after every few hundred rounds.

    Raises:
        CorpusError: the distinct words take 2 GiB or more.
    """
    floor = max(1, min_frequency)
    state = initial_state(words, alphabet, num_merges=num_merges, top_k=top_k, floor=floor)
    room = min(2 * top_k * len(state.pair_after_V), 2 * len(state.nodes_N))
    more = num_merges > 0
    while more:
        state = _with_room(state, room)
        more = kernels.run_rounds(state, ROUNDS_PER_CALL, room, top_k, num_merges, floor)
        if on_progress is not None:
            on_progress(int(state.sizes[0]["merges"]), num_merges)
    return _result(state, alphabet)


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


def _result(state: State, alphabet: Alphabet) -> LearnedMerges:
    num_merges, nodes_N = int(state.sizes[0]["merges"]), state.nodes_N
    is_token = nodes_N["symbol"] != GONE
    num_tokens = int(nodes_N["weight"][is_token].sum())
    joined = state.joined_M[:num_merges]
    return LearnedMerges(
        alphabet=alphabet,
        merges=[(left, right) for left, right in state.merges_M2[:num_merges].tolist()],
        frequencies=state.frequencies_M[:num_merges],
        num_tokens_after=num_tokens + joined.sum() - np.cumsum([0, *joined]),
        num_rounds=int(state.sizes[0]["rounds"]),
        segmentation=nodes_N["symbol"][is_token],
    )
