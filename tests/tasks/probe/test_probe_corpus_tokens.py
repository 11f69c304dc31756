"""Tokens of a foreign tokenizer: whole small splits in order, a drawn part of large ones."""

import pytest

from tasks.corpus import SPLITS, Corpus
from tasks.probe.corpus_tokens import BYTES_PER_TOKEN, DrawnTokens, draw_tokens
from tests.tasks.probe.foreign_folders import small_corpus, wordpiece_tokenizer

TOKENIZER = wordpiece_tokenizer()
TOKENIZER.encode_special_tokens = True


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(small_corpus(tmp_path_factory.mktemp("corpus") / "ingest").path)


def drawn(corpus: Corpus, num_documents: int, num_tokens: int, seed: int = 0) -> DrawnTokens:
    return draw_tokens(
        corpus,
        "train",
        TOKENIZER,
        num_documents=num_documents,
        num_tokens=num_tokens,
        seed=seed,
    )


def test_a_small_split_is_taken_whole_and_in_order(corpus: Corpus) -> None:
    for split in SPLITS:
        found = draw_tokens(corpus, split, TOKENIZER, num_documents=2, num_tokens=10**6, seed=0)
        wanted = [
            TOKENIZER.encode(text, add_special_tokens=False).ids for text in corpus.texts(split)
        ]
        assert [tokens.tolist() for tokens in found.documents] == wanted
        assert found.documents.lengths.tolist() == list(map(len, wanted))
        assert found.document_ids == [each.doc_id for each in corpus.documents(split)]


def test_of_a_large_split_no_more_is_encoded_than_was_asked_for(corpus: Corpus) -> None:
    total = corpus.about.num_documents["train"]
    few = drawn(corpus, num_documents=5, num_tokens=1)
    assert len(few.documents) == len(few.document_ids) == 5
    enough = drawn(corpus, num_documents=1, num_tokens=300)
    assert sum(map(len, enough.documents)) >= 300
    mean_bytes = corpus.about.num_text_bytes["train"] / total
    assert len(enough.documents) <= 300 * BYTES_PER_TOKEN / mean_bytes + 1 < total


def test_the_draw_is_of_the_seed_alone(corpus: Corpus) -> None:
    first, again, other = (drawn(corpus, 9, 1, seed).document_ids for seed in (0, 0, 1))
    assert first == again != other
    in_corpus = [each.doc_id for each in corpus.documents("train")]
    assert [name for name in in_corpus if name in first] == first
