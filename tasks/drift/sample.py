"""Draws documents of a corpus: which ones follows from a seed and their content alone.

Letters: C candidates, S documents drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.content_hashes import Hashes, hashes_of
from tasks.corpus import Corpus, read_batches

_HASH = "content_sha256"


@dataclass(frozen=True)
class Sample:
    """Drawn documents in corpus order.

    Attributes:
        texts: theirs.
        hashes_S: their contents'.
        num_candidates: how many there were to draw from.
    """

    texts: list[str]
    hashes_S: Hashes
    num_candidates: int

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, is_kept_S: NDArray[np.bool_]) -> "Sample":
        """Those of the documents."""
        texts = [text for text, is_kept in zip(self.texts, is_kept_S, strict=True) if is_kept]
        return Sample(texts, self.hashes_S[is_kept_S], self.num_candidates)


def draw(
    corpus: Corpus,
    num_documents: int,
    *,
    seed: int,
    split: str | None = None,
    without: Corpus | None = None,
) -> Sample:
    """Draw documents whose content another corpus does not have.

    Args:
        corpus: is read in two passes, one over its hashes, one over its texts.
        num_documents: at most so many.
        seed: a document that is drawn is drawn with the same seed from any smaller set, too.
        split: train, validation or test; None: all.
        without: the other corpus, if there is one; of it the hashes are read.

    Cost: 32 bytes of memory a document of either corpus, and the drawn texts.
    """
    hashes = _hashes(corpus, split)
    is_candidate = np.ones(len(hashes), dtype=np.bool_)
    if without is not None:
        is_candidate = np.isin(hashes, _hashes(without, None), invert=True)
    places_C = np.flatnonzero(is_candidate)
    keys_C = _keys(hashes[places_C], seed)
    places_S = np.sort(places_C[np.argsort(keys_C, kind="stable")[:num_documents]])
    texts = list(_texts(corpus, split, places_S))
    return Sample(texts, hashes[places_S], len(places_C))


def first_words(hashes_S: Hashes) -> NDArray[np.uint64]:
    """The first eight bytes of each hash as a number: as good as random, the document's own."""
    whole = np.ascontiguousarray(hashes_S, dtype="S32")
    return whole.view("<u8").reshape(len(whole), 4)[:, 0].astype(np.uint64)


def _keys(hashes_C: Hashes, seed: int) -> NDArray[np.uint64]:
    """Numbers whose order is the draw's: hashes are random already, and the seed turns them."""
    [turn] = np.random.Philox(key=[seed, 0]).random_raw(1)
    return np.asarray(first_words(hashes_C) ^ np.uint64(turn), dtype=np.uint64)


def _hashes(corpus: Corpus, split: str | None) -> Hashes:
    batches = (batch for shard in corpus.shards for batch in read_batches(shard, [_HASH], split))
    columns = [hashes_of(pa.chunked_array([batch.column(_HASH)])) for batch in batches]
    return np.concatenate([np.empty(0, dtype="S32"), *columns])


def _texts(corpus: Corpus, split: str | None, places_S: NDArray[np.int64]) -> Iterator[str]:
    start = 0
    for shard in corpus.shards:
        if not len(places_S) or start > places_S[-1]:
            return
        for batch in read_batches(shard, ["text"], split):
            low, high = np.searchsorted(places_S, [start, start + batch.num_rows])
            if high > low:
                rows = pa.array(places_S[low:high] - start)
                yield from batch.column("text").take(rows).to_pylist()
            start += batch.num_rows
