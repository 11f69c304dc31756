"""Which documents are drawn follows from the seed and their content, not from what is around."""

from pathlib import Path

import numpy as np
import pytest

from tasks.corpus import Corpus
from tasks.drift.sample import draw
from tests.tasks.chain import ingested
from tests.tasks.drift.nights import BEFORE, documents

MORE = documents(20, prefix="more", seed=9)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(ingested(tmp_path_factory.mktemp("before") / "corpus", BEFORE).path)


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The other way round, in many files, with documents that came and some that went."""
    records = [*MORE, *BEFORE[::-1]][:-5]
    folder = tmp_path_factory.mktemp("after") / "corpus"
    return Corpus(ingested(folder, records, documents_per_shard=7).path)


def test_the_order_of_documents_and_files_does_not_matter(before: Corpus, after: Corpus) -> None:
    drawn = [draw(corpus, 30, seed=1, split="test") for corpus in (before, after)]
    assert len(drawn[0]) == 30
    assert drawn[0].num_candidates == 70
    assert sorted(drawn[0].texts) == sorted(drawn[1].texts)
    assert set(draw(before, 10, seed=1, split="test").texts) < set(drawn[0].texts)
    other = draw(before, 30, seed=2, split="test").texts
    assert 0 < len(set(other) & set(drawn[0].texts)) < 30


def test_new_is_what_the_other_corpus_does_not_have(before: Corpus, after: Corpus) -> None:
    found = draw(after, 100, seed=0, without=before)
    assert sorted(found.texts) == sorted(str(record["text"]) for record in MORE)
    assert found.num_candidates == 20
    few = draw(after, 0, seed=0, without=before)
    assert (len(few), few.num_candidates) == (0, 20)
    assert draw(before, 9, seed=0, without=before).num_candidates == 0


def test_hashes_and_texts_stand_side_by_side(after: Corpus) -> None:
    found = draw(after, 25, seed=3)
    kept = {row.text: row.content_sha256 for row in after.documents()}
    for text, content in zip(found.texts, found.hashes_S, strict=True):
        assert bytes(content).ljust(32, b"\0") == kept[text]
    half = found.where(np.arange(25) % 2 == 0)
    assert half.texts == found.texts[::2]


def test_every_document_is_drawn_as_often(tmp_path: Path, before: Corpus) -> None:
    counts = dict.fromkeys(before.texts("test"), 0)
    for seed in range(300):
        for text in draw(before, 14, seed=seed, split="test").texts:
            counts[text] += 1
    assert min(counts.values()) > 30  # 60 are expected
    assert max(counts.values()) < 95
