"""The treebank: files found, documents dealt, what is left out counted."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from model.errors import CorpusError, RequestError
from tasks.probe.treebank.conllu import Fault
from tasks.probe.treebank.reading import Treebank, read_treebank, split_of_name
from tests.tasks.probe.treebank.treebanks import chain, documents


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def first_words(treebank: Treebank, split: str) -> set[str]:
    return {one.sentence.forms[0] for one in treebank.sentences[split]}


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("en_ewt-ud-train.conllu.gz", "train"),
        ("en_ewt-ud-dev.conllu", "validation"),
        ("de_hdt-ud-train-a-1.conllu", "train"),
        ("a.zip/UD/xx-ud-test.conllu", "test"),
        ("dev/part1.conllu", "validation"),
        ("train/en-test.conllu", "test"),
        ("validation.conllu", "validation"),
        ("treatest_latest.conllu", None),
        ("devel", "validation"),
    ],
)
def test_names_say_splits(file: str, split: str | None) -> None:
    assert split_of_name(file) == split


def test_files_named_for_splits_keep_them_and_nothing_is_drawn(tmp_path: Path) -> None:
    files = {
        "x-ud-train.conllu": documents(names("t", 5)),
        "x-ud-dev.conllu": documents(["d"]),
        "x-ud-test.conllu": documents(["e"]),
        "README.md": "# no treebank",
        "stats.xml": "<treebank/>",
    }
    treebank = read_treebank([str(write(tmp_path, files))], seed=0)
    assert treebank.drawn == ()
    assert first_words(treebank, "train") == set(names("t", 5))
    assert first_words(treebank, "validation") == {"d"}
    assert first_words(treebank, "test") == {"e"}
    assert treebank.files == ("x-ud-dev.conllu", "x-ud-test.conllu", "x-ud-train.conllu")
    assert treebank.num_words("train") == 20
    assert treebank.num_documents("train") == 5


def test_a_missing_split_is_a_tenth_of_trains_documents(tmp_path: Path) -> None:
    files = {"train.conllu": documents(names("t", 40)), "dev.conllu": documents(names("d", 3))}
    treebank = read_treebank([str(write(tmp_path, files))], seed=0)
    assert treebank.drawn == ("test",)
    assert first_words(treebank, "validation") == set(names("d", 3))
    drawn, kept = first_words(treebank, "test"), first_words(treebank, "train")
    assert len(drawn) == 4
    assert drawn | kept == set(names("t", 40))
    assert not drawn & kept
    again = read_treebank([str(tmp_path / name) for name in files], seed=0)
    assert again.sentences == treebank.sentences
    other = read_treebank([str(tmp_path)], seed=1)
    assert first_words(other, "test") != drawn


def test_one_name_alone_is_no_split(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a-test.conllu": documents(names("t", 20))})
    treebank = read_treebank([str(folder)], seed=0)
    assert treebank.drawn == ("validation", "test")
    counts = [treebank.num_documents(split) for split in ("train", "validation", "test")]
    assert counts == [16, 2, 2]


def test_documents_are_whole_and_numbered_over_all_splits(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.conllu": "".join(chain(f"w{at}") for at in range(100))})
    treebank = read_treebank([str(folder)], seed=0)
    assert treebank.has_blocks
    numbers = [{one.document for one in own} for own in treebank.sentences.values()]
    assert sorted(number for own in numbers for number in own) == [0, 1, 2, 3, 4]
    assert [len(own) for own in treebank.sentences.values()] == [60, 20, 20]


def test_a_document_that_comes_twice_counts_once_where_its_split_is_named(tmp_path: Path) -> None:
    files = {
        "a/sources.conllu": documents([*names("t", 4), "e"]),
        "b/x-ud-train.conllu": documents(names("t", 4)),
        "b/x-ud-test.conllu": documents(["e"]),
    }
    treebank = read_treebank([str(write(tmp_path, files))], seed=0)
    assert treebank.num_documents_repeated == 5
    assert first_words(treebank, "test") == {"e"}
    assert "e" not in first_words(treebank, "train") | first_words(treebank, "validation")


def test_malformed_sentences_are_left_out_and_counted(tmp_path: Path) -> None:
    text = documents(names("t", 4)) + "1\tbad\n\n" + "# text = other\n" + chain("u")
    treebank = read_treebank([str(write(tmp_path, {"a.conllu": text}))], seed=0)
    assert treebank.faults() == {Fault.COLUMNS: 1}
    assert treebank.problems[0].line == 29
    assert treebank.num_texts_differ == 1
    assert sum(len(own) for own in treebank.sentences.values()) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tbad\n\n2\tbad\n", r"probe\.conllu: a\.conllu, line 1: it is not ten columns"),
        ("# nothing\n", r"probe\.conllu: a\.conllu: no sentence is there"),
        (documents(["a", "b"]), "validation, test must be drawn from 2 documents, which needs 3"),
    ],
)
def test_a_file_that_cannot_serve_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message) as raised:
        read_treebank([str(write(tmp_path, {"a.conllu": text}))], seed=0)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_treebank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nothing there is CoNLL-U; give files of ten columns"):
        read_treebank([str(write(tmp_path, {"a.txt": "plain text"}))], seed=0)
    with pytest.raises(RequestError, match=r"probe\.conllu: path .* does not exist"):
        read_treebank([str(tmp_path / "nowhere")], seed=0)
