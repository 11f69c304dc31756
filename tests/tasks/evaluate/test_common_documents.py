"""Test documents of two corpora: only what neither was trained on is common."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.corpus import Corpus
from tasks.evaluate.common_documents import common_documents
from tests.tasks.evaluate.folders import sha256, write_corpus


def corpus(folder: Path, texts: dict[str, list[str]]) -> Corpus:
    made: list[dict[str, Any]] = [
        {"doc_id": f"{folder.name}-{split}-{number}", "text": text, "split": split}
        for split, of_split in texts.items()
        for number, text in enumerate(of_split)
    ]
    return Corpus(write_corpus(folder, made, documents_per_shard=3))


def test_what_the_other_learned_is_left_out_and_counted(tmp_path: Path) -> None:
    ours = corpus(tmp_path / "ours", {"test": ["a", "b", "c", "d", "e"], "train": ["x"]})
    theirs = corpus(
        tmp_path / "theirs", {"train": ["a"], "validation": ["b"], "test": ["c", "d", "x", "y"]}
    )
    found = common_documents(ours, theirs)
    assert found.hashes == {sha256("c"), sha256("d")}
    assert (found.num_common, found.num_learned, found.num_unknown) == (2, 2, 1)


def test_of_its_own_corpus_every_test_document_is_common(tmp_path: Path) -> None:
    ours = corpus(tmp_path / "ours", {"test": ["a", "b", "b"], "train": ["x"]})
    found = common_documents(ours, ours)
    assert (found.num_common, found.num_learned, found.num_unknown) == (3, 0, 0)


splits = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["train", "test"])))


@settings(max_examples=25, deadline=None)
@given(splits.filter(len), splits.filter(len))
def test_a_text_is_test_where_it_stands_in_that_split_only(
    ours: list[tuple[str, str]], theirs: list[tuple[str, str]]
) -> None:
    def held_out(texts: list[tuple[str, str]]) -> set[str]:
        return {text for text, _ in texts} - {text for text, split in texts if split != "test"}

    with TemporaryDirectory() as folder:
        made = []
        for name, texts in (("ours", ours), ("theirs", theirs)):
            of_split: dict[str, list[str]] = {}
            for text, split in texts:
                of_split.setdefault(split, []).append(text)
            made.append(corpus(Path(folder) / name, of_split))
        found = common_documents(*made)
    common = held_out(ours) & held_out(theirs)
    asked = [text for text, _ in ours if text in held_out(ours)]
    assert found.hashes == {sha256(text) for text in common}
    assert found.num_common == sum(text in common for text in asked)
    assert found.num_unknown == sum(text not in dict(theirs) for text in asked)
    assert found.num_common + found.num_learned + found.num_unknown == len(asked)
