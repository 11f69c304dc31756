"""Which test documents of one corpus are test documents of another too."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from tasks.corpus import Corpus


@dataclass(frozen=True)
class CommonDocuments:
    """Our test documents, told apart by what another corpus has of them.

    A text is a test document of a corpus if it stands there in the split `test` and in no other.

    Attributes:
        hashes: content_sha256 of those that are test in both.
        unknown: content_sha256 of those that the other corpus has not.
        num_common: how many those are.
        num_learned: those that stand in the other's train or validation split.
        num_unknown: those that the other corpus has not.
    """

    hashes: frozenset[bytes]
    unknown: frozenset[bytes]
    num_common: int
    num_learned: int
    num_unknown: int


def common_documents(ours: Corpus, theirs: Corpus) -> CommonDocuments:
    """Our test documents by what they are to the other corpus.

    Texts are found by their SHA-256 after cleaning, so one that was cleaned otherwise there is
    unknown, and so is one that there is only something like.

    Raises:
        ArtifactError: a corpus is damaged.

    Cost: two columns of each corpus, twice; memory of the hashes of our test split.
    """
    asked = Counter(_hashes(ours, is_test=True))
    for sha256 in _hashes(ours, is_test=False):
        asked.pop(sha256, None)
    learned = asked.keys() & _hashes(theirs, is_test=False)
    common = (asked.keys() & _hashes(theirs, is_test=True)) - learned
    unknown = asked.keys() - learned - common
    num_common, num_learned = (sum(asked[each] for each in kind) for kind in (common, learned))
    num_unknown = asked.total() - num_common - num_learned
    return CommonDocuments(
        frozenset(common), frozenset(unknown), num_common, num_learned, num_unknown
    )


def _hashes(corpus: Corpus, *, is_test: bool) -> Iterator[bytes]:
    for batch in corpus.batches(["content_sha256", "split"]):
        of_test = pc.equal(batch["split"], "test")
        wanted = of_test if is_test else pc.invert(of_test)
        yield from batch.filter(wanted)["content_sha256"].to_pylist()
