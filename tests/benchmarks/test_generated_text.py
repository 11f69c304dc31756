"""The made-up corpora are what the benchmarks take them for."""

import hashlib
import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.generated_text import GENRES, Generated, write_generated

MEGABYTES = 2.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated") / "generated.jsonl"


@pytest.fixture(scope="module")
def generated(path: Path) -> Generated:
    return write_generated(path, MEGABYTES, seed=3)


@pytest.fixture(scope="module")
def documents(path: Path, generated: Generated) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def digest(path: Path, seed: int) -> str:
    write_generated(path, 0.2, seed)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def five_grams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return set(zip(*(words[start:] for start in range(5)), strict=False))


def test_the_seed_alone_decides_the_bytes(tmp_path: Path) -> None:
    first = digest(tmp_path / "a", seed=1)
    assert digest(tmp_path / "b", seed=1) == first
    assert digest(tmp_path / "c", seed=2) != first


def test_the_file_is_as_large_as_asked_for(path: Path, generated: Generated) -> None:
    longest = max(map(len, path.read_bytes().splitlines(keepends=True)))
    assert path.stat().st_size == generated.num_bytes
    assert MEGABYTES * 1e6 <= generated.num_bytes < MEGABYTES * 1e6 + longest


def test_a_larger_corpus_begins_as_a_smaller_one(path: Path, tmp_path: Path) -> None:
    generated = write_generated(tmp_path / "smaller", 0.2, seed=3)
    assert path.read_bytes()[: generated.num_bytes] == (tmp_path / "smaller").read_bytes()


def test_documents_have_ids_and_metadata(
    documents: list[dict[str, Any]], generated: Generated
) -> None:
    assert len({document["id"] for document in documents}) == generated.num_documents
    assert {document["genre"] for document in documents} == set(GENRES)
    assert all(1950 <= document["year"] < 2025 for document in documents)


def test_texts_are_of_about_the_length_promised(documents: list[dict[str, Any]]) -> None:
    lengths = [len(document["text"].encode("utf-8")) for document in documents]
    assert 1600 < statistics.median(lengths) < 2500
    assert statistics.mean(lengths) > 1.3 * statistics.median(lengths)


def test_words_follow_zipf_and_stand_in_sentences(documents: list[dict[str, Any]]) -> None:
    text = " ".join(document["text"] for document in documents)
    words = Counter(word.strip(".,?").lower() for word in text.split())
    (_, most), *_, (_, hundredth) = words.most_common(100)
    assert 15 < most / hundredth < 60
    assert sum(count == 1 for count in words.values()) > 1000
    sentences = [part for part in text.replace("?", ".").split(".") if part.strip()]
    assert all(sentence.strip()[0].isupper() for sentence in sentences if " " in sentence.strip())
    assert 10 < statistics.mean(len(sentence.split()) for sentence in sentences) < 20
    assert "\n\n" in text


def test_as_many_documents_repeat_others_as_is_said(
    documents: list[dict[str, Any]], generated: Generated
) -> None:
    texts = [document["text"] for document in documents]
    assert len(texts) - len(set(texts)) == generated.num_duplicates
    earlier: dict[tuple[str, ...], int] = {}
    num_alike = 0
    for number, text in enumerate(dict.fromkeys(texts)):
        grams = five_grams(text)
        found = Counter(earlier[gram] for gram in grams if gram in earlier)
        num_alike += bool(found) and max(found.values()) > 0.4 * len(grams)
        for gram in grams:
            earlier.setdefault(gram, number)
    assert num_alike == pytest.approx(generated.num_near_duplicates, abs=2)


def test_the_fractions_asked_for_are_met(tmp_path: Path) -> None:
    many = write_generated(tmp_path / "many", 3, 0, near_duplicate_frac=0.3, duplicate_frac=0.2)
    assert many.num_near_duplicates / many.num_documents == pytest.approx(0.3, abs=0.06)
    assert many.num_duplicates / many.num_documents == pytest.approx(0.2, abs=0.06)
    none = write_generated(tmp_path / "none", 0.5, 0, near_duplicate_frac=0, duplicate_frac=0)
    assert none.num_near_duplicates == none.num_duplicates == 0


@pytest.mark.parametrize("megabytes", [0, 1e-6])
def test_a_size_that_holds_nothing_or_one_document(tmp_path: Path, megabytes: float) -> None:
    generated = write_generated(tmp_path / "small", megabytes, seed=0)
    assert generated.num_documents == (1 if megabytes else 0)
