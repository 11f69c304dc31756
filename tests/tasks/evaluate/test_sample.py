"""Samples that depend on ids and the seed, not on the order of the corpus."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.corpus import Document
from tasks.evaluate.sample import sample_documents


def document(doc_id: str, text: str = "x") -> Document:
    return Document(doc_id, text, b"", "test", {})


def ids(documents: list[Document]) -> list[str]:
    return [document.doc_id for document in documents]


CORPUS = [document(f"d{number}", "y" * (number % 7)) for number in range(60)]


def test_of_few_documents_all_are_taken_in_order() -> None:
    sample = sample_documents(CORPUS, max_documents=60, seed=0)
    assert ids(sample.documents) == ids(CORPUS)
    assert sample.is_whole


def test_of_many_a_seeded_sample_in_corpus_order() -> None:
    sample = sample_documents(iter(CORPUS), max_documents=20, seed=0)
    assert len(sample.documents) == 20
    assert sample.num_available == 60
    assert not sample.is_whole
    assert ids(sample.documents) == sorted(ids(sample.documents), key=ids(CORPUS).index)
    assert sample == sample_documents(CORPUS, max_documents=20, seed=0)
    assert sample != sample_documents(CORPUS, max_documents=20, seed=1)


def test_each_document_is_as_likely_as_any_other() -> None:
    times = dict.fromkeys(ids(CORPUS), 0)
    for seed in range(200):
        for doc_id in ids(sample_documents(CORPUS, max_documents=15, seed=seed).documents):
            times[doc_id] += 1
    assert min(times.values()) > 25  # 50 expected, standard deviation 6
    assert max(times.values()) < 80


@given(st.permutations(CORPUS), st.integers(1, 60), st.one_of(st.none(), st.integers(0, 200)))
def test_membership_does_not_depend_on_order(
    shuffled: list[Document], max_documents: int, max_text_bytes: int | None
) -> None:
    limits = {"max_documents": max_documents, "max_text_bytes": max_text_bytes, "seed": 3}
    expected = {d.doc_id for d in sample_documents(CORPUS, **limits).documents}
    assert {d.doc_id for d in sample_documents(shuffled, **limits).documents} == expected


@given(st.integers(0, 200))
def test_text_stays_within_its_bytes(max_text_bytes: int) -> None:
    sample = sample_documents(CORPUS, max_documents=60, max_text_bytes=max_text_bytes, seed=0)
    num_bytes = sum(len(document.text) for document in sample.documents)
    assert num_bytes <= max_text_bytes or len(sample.documents) == 1


def test_one_huge_document_is_still_a_sample() -> None:
    huge = [document("a", "ä" * 1000)]
    sample = sample_documents(huge, max_documents=5, max_text_bytes=10, seed=0)
    assert ids(sample.documents) == ["a"]
