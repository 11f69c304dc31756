"""The nearest neighbours of one word in three of its contexts, layer by layer, beside static ones.

Words are those of `tasks.probe.sample_words`, so nothing is told of words that the tokenizer cuts.

Letters: K layers (embeddings included), N tokens of the sample, W those of them that are words, O
occurrences of one word, C contexts, D width, V words with static vectors.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.probe.observe import Observed
from tasks.probe.sample_words import Occurrence, Words

MIN_OCCURRENCES = 10
MAX_OCCURRENCES = 200
MIN_LETTERS = 3
MAX_CANDIDATES = 20_000


@dataclass(frozen=True)
class StaticWords:
    """One vector a word, such as Word2Vec's.

    Attributes:
        words: V names; lower and upper case are one.
        vectors_VD: float, of any width.
    """

    words: Sequence[str]
    vectors_VD: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Neighbour:
    """An occurrence that is near, and the cosine of its state."""

    occurrence: Occurrence
    cosine: float


@dataclass(frozen=True)
class Nearest:
    """What is nearest to one occurrence at one layer.

    Attributes:
        same: the nearest other occurrence of the same word.
        others: the nearest occurrences of other words, each word once, nearest first.
    """

    same: Neighbour
    others: list[Neighbour]


@dataclass(frozen=True)
class WordNeighbours:
    """One word's neighbours.

    Attributes:
        word: in lower case.
        num_occurrences: how often the sample holds it as a word.
        num_candidates: occurrences of other words that were looked through.
        self_similarity_K: mean cosine of two of its occurrences at each layer.
        contexts: C of its occurrences, those that differ most at the last layer.
        nearest_CK: for each of them what is nearest at each layer.
        static: the nearest words of its static vector with their cosines; None where there is
            none.
    """

    word: str
    num_occurrences: int
    num_candidates: int
    self_similarity_K: list[float]
    contexts: list[Occurrence]
    nearest_CK: list[list[Nearest]]
    static: list[tuple[str, float]] | None


def spread_words(
    observed: Observed,
    words: Words,
    *,
    num: int = 1,
    known: Sequence[str] | None = None,
    min_occurrences: int = MIN_OCCURRENCES,
    max_occurrences: int = MAX_OCCURRENCES,
) -> list[str]:
    """The words whose occurrences drift apart most from the first layer to the last.

    Drift is the fall of their self-similarity, the mean cosine of two occurrences (Ethayarajh 2019,
    section 3.3), from the embeddings to the last layer. Words of fewer than `MIN_LETTERS` letters
    are passed over. Fewer than `num` come back where fewer occur often enough.

    Args:
        observed: the sample's states.
        words: its words.
        num: how many are wanted.
        known: only words among these, such as those that have static vectors; None = all.
        min_occurrences: how often the sample holds them at least.
        max_occurrences: and at most, for the most frequent words are those of grammar.
    """
    kept = None if known is None else {each.casefold() for each in known}
    fitting = [
        name
        for name, own in sorted(words.words_of.items())
        if min_occurrences <= len(own) <= max_occurrences
        and len(name) >= MIN_LETTERS
        and (kept is None or name in kept)
    ]
    drift = {name: _drift(observed, words.row_W[words.words_of[name]]) for name in fitting}
    return sorted(fitting, key=lambda name: -drift[name])[:num]


def word_neighbours(
    observed: Observed,
    words: Words,
    word: str,
    *,
    static: StaticWords | None = None,
    num_contexts: int = 3,
    num_neighbours: int = 4,
) -> WordNeighbours | None:
    """What is nearest to a word in its most different contexts at each layer; None where the sample
    does not hold it twice.

    Contexts are chosen farthest first at the last layer: the two that are least alike, then each
    time the one least like its most alike among those chosen. Of more than `MAX_OCCURRENCES`
    occurrences, and of more than `MAX_CANDIDATES` of other words, an even part is looked through.
    Cost: O(K W D); memory beside the sample's states: one layer's states of W words.

    Args:
        observed: the sample's states.
        words: its words.
        word: in any case.
        static: vectors for the static list.
        num_contexts: C, fewer where the word occurs less often.
        num_neighbours: other words for each context and layer.
    """
    name = word.casefold()
    everywhere = words.words_of.get(name, [])
    if len(everywhere) < 2:
        return None
    own = _thin(everywhere, MAX_OCCURRENCES)
    others = [each for each, known in enumerate(words.names) if known != name]
    others = _thin(others, MAX_CANDIDATES)
    own_KOD = observed.states_KND[:, words.row_W[own]]
    chosen = _farthest(_unit(own_KOD[-1]), num_contexts)
    finder = _Finder(words, own, others, num_neighbours)
    by_layer = [
        finder.nearest(chosen, _unit(own_OD), _unit(states_ND[words.row_W[others]]))
        for own_OD, states_ND in zip(own_KOD, observed.states_KND, strict=True)
    ]
    return WordNeighbours(
        word=name,
        num_occurrences=len(everywhere),
        num_candidates=len(others),
        self_similarity_K=[_self_similarity(own_OD) for own_OD in own_KOD],
        contexts=[words.occurrence(own[each]) for each in chosen],
        nearest_CK=[list(layers) for layers in zip(*by_layer, strict=True)],
        static=None
        if static is None
        else static_neighbours(static, name, num=2 * num_neighbours, among=words.words_of),
    )


def static_neighbours(
    static: StaticWords, word: str, *, num: int, among: Container[str]
) -> list[tuple[str, float]] | None:
    """The nearest other words of a word's static vector with their cosines, each word once.

    None where the word has no vector. Of several vectors for one word the first one counts.

    Args:
        static: vectors of words, or of tokens.
        word: in any case.
        num: how many are wanted.
        among: only these, in lower case, so that the list is of the same words as an encoder's.
    """
    names = [each.strip().casefold() for each in static.words]
    if word.casefold() not in names:
        return None
    vectors_VD = _unit(torch.from_numpy(np.asarray(static.vectors_VD)))
    cosine_V = vectors_VD @ vectors_VD[names.index(word.casefold())]
    found: dict[str, float] = {}
    for place in torch.argsort(cosine_V, descending=True, stable=True).tolist():
        if len(found) == num:
            break
        if names[place] != word.casefold() and names[place] in among:
            found.setdefault(names[place], float(cosine_V[place]))
    return list(found.items())


@dataclass(frozen=True)
class _Finder:
    words: Words
    own: list[int]
    others: list[int]
    num: int

    def nearest(self, chosen: list[int], own_OD: Tensor, others_MD: Tensor) -> list[Nearest]:
        """What is nearest to each chosen occurrence, by cosines of unit vectors of one layer."""
        cosine_CO = own_OD[chosen] @ own_OD.T
        cosine_CO[torch.arange(len(chosen)), chosen] = -torch.inf
        cosine_CM = own_OD[chosen] @ others_MD.T
        return [
            Nearest(self._same(same_O), self._others(other_M))
            for same_O, other_M in zip(cosine_CO, cosine_CM, strict=True)
        ]

    def _same(self, cosine_O: Tensor) -> Neighbour:
        best = int(cosine_O.argmax())
        return Neighbour(self.words.occurrence(self.own[best]), float(cosine_O[best]))

    def _others(self, cosine_M: Tensor) -> list[Neighbour]:
        found: dict[str, Neighbour] = {}
        for place in torch.argsort(cosine_M, descending=True, stable=True).tolist():
            if len(found) == self.num:
                break
            word = self.others[place]
            if self.words.names[word] not in found:
                occurrence = self.words.occurrence(word)
                found[self.words.names[word]] = Neighbour(occurrence, float(cosine_M[place]))
        return list(found.values())


def _drift(observed: Observed, row_O: Tensor) -> float:
    first, last = (_self_similarity(observed.states_KND[layer, row_O]) for layer in (0, -1))
    return first - last


def _self_similarity(states_OD: Tensor) -> float:
    """Mean cosine of two different occurrences."""
    num = len(states_OD)
    squared = _unit(states_OD).double().sum(0).square().sum()
    return float((squared - num) / (num * (num - 1)))


def _farthest(units_OD: Tensor, num: int) -> list[int]:
    """Occurrences that are least alike, chosen one after another."""
    cosine_OO = units_OD @ units_OD.T
    cosine_OO.fill_diagonal_(torch.inf)
    chosen = list(divmod(int(cosine_OO.argmin()), len(cosine_OO)))
    while len(chosen) < min(num, len(cosine_OO)):
        alike_O = cosine_OO[chosen].amax(0)
        chosen.append(int(alike_O.argmin()))
    return chosen[:num]


def _unit(vectors_ND: Tensor) -> Tensor:
    unit_ND: Tensor = torch.nn.functional.normalize(vectors_ND.float(), dim=-1)
    return unit_ND


def _thin(items: list[int], most: int) -> list[int]:
    """At most `most` of them, evenly spread."""
    step = -(-len(items) // most) or 1
    return items[::step]
