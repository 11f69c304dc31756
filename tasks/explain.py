"""Shows which words make two documents of a dataset alike: terms that add up to their cosine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

from model.attribution import SPECIAL_GROUP, Attribution, attribute, sum_groups
from model.errors import ArtifactError
from tasks.embedder import TOKENS_PER_BATCH, Embedder
from tasks.passages import texts_of
from tasks.search import Searcher
from tasks.visible_text import visible

SPECIAL_TOKENS = "[CLS] and [SEP]"
WHITE_SPACE = "white space"
# Scripts without spaces between words tell no words: there each token stands for itself.
_SPACELESS = "Han Hiragana Katakana Bopomofo Yi Thai Lao Khmer Myanmar Tibetan".split()
_SCRIPTS = "".join(rf"\p{{Script={name}}}" for name in _SPACELESS)
_WORD = regex.compile(rf"(?V1)[[\p{{L}}\p{{M}}\p{{N}}_]--[{_SCRIPTS}ー]]+")


@dataclass(frozen=True)
class WordTerm:
    """What all occurrences of a word in one document add to the cosine.

    Attributes:
        word: in lower case; a sign, or a token of a script without spaces, stands for itself.
        num_occurrences: in the document.
        term: summed over all pairs with positions of the other document.
    """

    word: str
    num_occurrences: int
    term: float


@dataclass(frozen=True)
class PairTerm:
    """What a word of the left document adds with a word of the right one."""

    left: str
    right: str
    term: float


@dataclass(frozen=True)
class Explanation:
    """Two documents' cosine, taken apart.

    Attributes:
        cosine: of their vectors, in float32.
        left_words, right_words: every word of a document, largest term first, and the special
            tokens; each list adds up to the cosine.
        pairs: the words with the largest terms of the left document with those of the right one,
            largest term first.
        special_tokens: all pairs that have [CLS] or [SEP] on either side.
        other_pairs: all pairs of tokens that are in none of these. With them and `pairs` it adds
            up to the cosine.
    """

    cosine: float
    left_words: list[WordTerm]
    right_words: list[WordTerm]
    pairs: list[PairTerm]
    special_tokens: float
    other_pairs: float


@dataclass(frozen=True)
class _Document:
    """A document's tokens and words; the group of a word is its place in `names`.

    Attributes:
        names: [CLS] and [SEP] first.
        num_occurrences: of each, that of the special tokens 0.
        token_ids_L, groups_L: of each token.
    """

    names: list[str]
    num_occurrences: list[int]
    token_ids_L: NDArray[np.int32]
    groups_L: NDArray[np.int64]


def explain(
    left_id: str, right_id: str, *, num_words: int, dataset: Path, embedder: Path, corpus: Path
) -> tuple[Explanation, float]:
    """Take the cosine of two documents of a dataset apart.

    Args:
        left_id, right_id: the documents; may be the same one.
        num_words: words of each document whose pairs are shown.
        dataset: folder of an export artifact.
        embedder: folder of the tune artifact that the dataset was made with.
        corpus: folder of the ingest artifact that the dataset was made from.

    Returns:
        The explanation, and the cosine of the vectors in the dataset, which are as precise as the
        export made them.

    Raises:
        RequestError: the dataset has no such document.
        ArtifactError: the corpus no longer has a document's text, or a file is missing or damaged.
    """
    searcher = Searcher.open(dataset=dataset, embedder=embedder, corpus=corpus)
    numbers = [searcher.row_of(doc_id) for doc_id in (left_id, right_id)]
    hashes = [row["content_sha256"] for row in searcher.dataset.rows(numbers)]
    texts = texts_of(corpus, set(hashes)).by_hash
    for doc_id, content_sha256 in zip((left_id, right_id), hashes, strict=True):
        if content_sha256 not in texts:
            raise ArtifactError(f"{corpus} has no text of {doc_id!r}: run the chain again")
    left, right = (texts[content_sha256] for content_sha256 in hashes)
    left_D, right_D = (searcher.dataset.vector(number) for number in numbers)
    found = explain_texts(searcher.embedder, left, right, num_words=num_words)
    return found, float(left_D @ right_D)


def explain_texts(embedder: Embedder, left: str, right: str, *, num_words: int) -> Explanation:
    """Take the cosine of two texts apart.

    Cost: both are embedded whole; memory is a batch's hidden states and one vector a distinct word.
    """
    left_words, right_words = _document(embedder, left), _document(embedder, right)
    found = attribute(_sums(embedder, left_words), _sums(embedder, right_words))
    pairs = _pairs(found, left_words, right_words, num_words)
    word_pairs = float(found.left_GD[1:].sum(axis=0) @ found.right_GD[1:].sum(axis=0))
    return Explanation(
        cosine=found.cosine,
        left_words=_word_terms(left_words, found.left_terms_G),
        right_words=_word_terms(right_words, found.right_terms_G),
        pairs=pairs,
        special_tokens=_special_term(found),
        other_pairs=word_pairs - sum(pair.term for pair in pairs),
    )


def _sums(embedder: Embedder, document: _Document) -> NDArray[np.float64]:
    return sum_groups(
        embedder.encoder,
        document.token_ids_L,
        document.groups_L,
        len(document.names),
        max_window_tokens=embedder.about.max_window_tokens,
        tokens_per_batch=TOKENS_PER_BATCH,
        weights_V=embedder.weights_V,
    )


def _special_term(found: Attribution) -> float:
    both = found.left_GD[SPECIAL_GROUP] @ found.right_GD[SPECIAL_GROUP]
    return float(found.left_terms_G[SPECIAL_GROUP] + found.right_terms_G[SPECIAL_GROUP] - both)


def _word_terms(document: _Document, terms_G: NDArray[np.float64]) -> list[WordTerm]:
    order = np.argsort(-terms_G, kind="stable")
    return [
        WordTerm(document.names[g], document.num_occurrences[g], float(terms_G[g])) for g in order
    ]


def _pairs(found: Attribution, left: _Document, right: _Document, num_words: int) -> list[PairTerm]:
    left_A = _largest(found.left_terms_G, num_words)
    right_C = _largest(found.right_terms_G, num_words)
    terms_AC = found.pair_terms_AC(left_A, right_C)
    pairs = [
        PairTerm(left.names[left_A[a]], right.names[right_C[c]], float(terms_AC[a, c]))
        for a, c in product(range(len(left_A)), range(len(right_C)))
    ]
    return sorted(pairs, key=lambda pair: -pair.term)


def _largest(terms_G: NDArray[np.float64], num_words: int) -> NDArray[np.intp]:
    """The words with the largest terms; the special tokens are no word."""
    return np.argsort(-terms_G[1:], kind="stable")[:num_words] + 1


def _document(embedder: Embedder, text: str) -> _Document:
    encoding = embedder.tokenizer.encode(text, add_special_tokens=False)
    groups = {SPECIAL_TOKENS: SPECIAL_GROUP}
    occurrences: dict[str, set[tuple[int, int]]] = {SPECIAL_TOKENS: set()}
    groups_L = np.empty(len(encoding.ids), dtype=np.int64)
    for place, (start, end) in enumerate(_word_spans(text, encoding.offsets)):
        name = visible(text[start:end].strip().casefold()) or WHITE_SPACE
        groups_L[place] = groups.setdefault(name, len(groups))
        occurrences.setdefault(name, set()).add((start, end))
    return _Document(
        names=list(groups),
        num_occurrences=[len(occurrences[name]) for name in groups],
        token_ids_L=np.array(encoding.ids, dtype=np.int32),
        groups_L=groups_L,
    )


def _word_spans(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """For each token's span that of the first word it has a part of, else its own."""
    words = [match.span() for match in _WORD.finditer(text)]
    ends = np.array([end for _, end in words], dtype=np.int64)
    first_words = np.searchsorted(ends, [start for start, _ in spans], side="right")
    for (start, end), index in zip(spans, first_words, strict=True):
        is_part = index < len(words) and words[index][0] < end
        yield words[index] if is_part else (start, end)
