"""Words' terms add up to the cosine of the vectors that the embedder makes."""

from pathlib import Path

import numpy as np
import pytest

from model.errors import ArtifactError, RequestError
from tasks.embedder import Embedder
from tasks.explain import SPECIAL_TOKENS, WHITE_SPACE, Explanation, explain, explain_texts
from tests.tasks.evaluate.folders import write_embedder
from tests.tasks.test_search import Published, publish

SHORT = "The ship left the Ship's harbour."
LONG = "A storm rose; the ship and its crew sailed on. " * 12  # ten windows of 62 bytes
PAIRS = [(SHORT, LONG), (LONG, LONG[40:]), (SHORT, ""), ("東京の船 ship", "船は東京へ\n\tship é")]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return Embedder.load(write_embedder(tmp_path_factory.mktemp("explain") / "tune"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tmp_path_factory.mktemp("published"))


def shown_sum(found: Explanation) -> float:
    return sum(pair.term for pair in found.pairs) + found.special_tokens + found.other_pairs


@pytest.mark.parametrize("num_words", [1, 4, 1000])
@pytest.mark.parametrize("texts", PAIRS)
def test_all_rows_add_up_to_the_cosine(
    embedder: Embedder, texts: tuple[str, str], num_words: int
) -> None:
    found = explain_texts(embedder, *texts, num_words=num_words)
    left, right = embedder.encode_texts(texts)
    cosine = float(left.astype(np.float64) @ right)
    assert found.cosine == pytest.approx(cosine, abs=1e-5)
    assert shown_sum(found) == pytest.approx(cosine, abs=1e-5)
    for words in (found.left_words, found.right_words):
        assert sum(word.term for word in words) == pytest.approx(cosine, abs=1e-5)
        assert [word.word for word in words].count(SPECIAL_TOKENS) == 1


def test_every_pair_is_shown_when_all_words_are(embedder: Embedder) -> None:
    found = explain_texts(embedder, SHORT, LONG, num_words=1000)
    assert found.other_pairs == pytest.approx(0, abs=1e-9)
    assert len(found.pairs) == (len(found.left_words) - 1) * (len(found.right_words) - 1)
    terms = [pair.term for pair in found.pairs]
    assert terms == sorted(terms, reverse=True)


def test_pairs_are_of_the_words_with_the_largest_terms(embedder: Embedder) -> None:
    found = explain_texts(embedder, SHORT, LONG, num_words=2)
    for side, words in (("left", found.left_words), ("right", found.right_words)):
        largest = [word.word for word in words if word.word != SPECIAL_TOKENS][:2]
        assert {getattr(pair, side) for pair in found.pairs} == set(largest)


def test_words_are_counted_whole_and_in_lower_case(embedder: Embedder) -> None:
    found = explain_texts(embedder, SHORT, "x", num_words=3)
    counts = {word.word: word.num_occurrences for word in found.left_words}
    words = {"the": 2, "ship": 2, "left": 1, "s": 1, "harbour": 1, "'": 1, ".": 1}
    assert counts == words | {WHITE_SPACE: 5, SPECIAL_TOKENS: 0}


def test_a_script_without_spaces_shows_its_tokens(embedder: Embedder) -> None:
    found = explain_texts(embedder, "東京の船", "x", num_words=3)
    assert {word.word for word in found.left_words} == {SPECIAL_TOKENS, *"東京の船"}


def test_documents_of_a_dataset_and_their_duplicates(published: Published) -> None:
    folders = {name: getattr(published, name) for name in ("dataset", "embedder", "corpus")}
    left, right = published.rows[0]["doc_id"], published.rows[30]["doc_id"]
    found, cosine = explain(left, right, num_words=5, **folders)
    expected = float(published.vectors[0] @ published.vectors[30])
    assert cosine == pytest.approx(expected, abs=1e-6)
    assert found.cosine == pytest.approx(expected, abs=1e-5)
    twin, _ = explain("twin", right, num_words=5, **folders)
    assert twin == found
    same, _ = explain(left, left, num_words=5, **folders)
    assert same.cosine == pytest.approx(1, abs=1e-6)
    with pytest.raises(RequestError, match="did you mean"):
        explain(left, right + "0", num_words=5, **folders)


def test_a_text_that_the_corpus_lost_is_named(published: Published, tmp_path: Path) -> None:
    other = publish(tmp_path).corpus
    (other / "corpus.json").write_text(
        (other / "corpus.json").read_text().replace('"documents/shard-00000.parquet"', '"gone"')
    )
    left, right = published.rows[0]["doc_id"], published.rows[30]["doc_id"]
    with pytest.raises(ArtifactError, match="gone"):
        explain(
            left,
            right,
            num_words=1,
            dataset=published.dataset,
            embedder=published.embedder,
            corpus=other,
        )
