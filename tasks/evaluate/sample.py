"""Seeded samples of documents, drawn while the corpus streams by."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from tasks.corpus import Document


@dataclass(frozen=True)
class Sample:
    """Documents in corpus order, and how many there were to choose from."""

    documents: list[Document]
    num_available: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out."""
        return len(self.documents) == self.num_available


def sample_documents(
    documents: Iterable[Document],
    *,
    max_documents: int,
    seed: int,
    max_text_bytes: int | None = None,
) -> Sample:
    """The documents whose keyed hash of the id is smallest, as many as both limits allow.

    Membership depends on the id, the seed and the limits, not on the order of the corpus, so a
    corpus that grows a little keeps most of its sample. One document is kept however large it is.

    Cost: one pass; memory of the sample, at most `max_text_bytes` of text and one document.
    """
    heap: list[tuple[int, int, int, Document]] = []  # largest key first, thus negated
    num_available = 0
    limit = 2**64  # of keys: past one that had no room, there is room for none
    free_bytes = float("inf") if max_text_bytes is None else max_text_bytes
    for position, document in enumerate(documents):
        num_available += 1
        key = _key(document.doc_id, seed)
        if key < limit:
            num_bytes = len(document.text.encode())
            free_bytes -= num_bytes
            heapq.heappush(heap, (-key, position, num_bytes, document))
        while len(heap) > max_documents or (len(heap) > 1 and free_bytes < 0):
            negated_key, _, dropped_bytes, _ = heapq.heappop(heap)
            free_bytes += dropped_bytes
            limit = -negated_key
    in_order = sorted(heap, key=lambda entry: entry[1])
    return Sample([document for *_, document in in_order], num_available)


def _key(doc_id: str, seed: int) -> int:
    digest = blake2b(doc_id.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")
