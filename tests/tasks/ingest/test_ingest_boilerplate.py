"""Lines that stand in many documents are found exactly, whatever the memory, and removed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest.cleaning import boilerplate
from tasks.ingest.cleaning.boilerplate import LineCounter, frequent_lines, strip_boilerplate
from tasks.ingest.cleaning.normalisation import normalise

BANNER = "We use cookies on this site."
MENU = "Home | About | Contact"


def count(folder: Path, texts: list[str], max_bytes: int = 2**20) -> Path:
    counter = LineCounter(folder, max_bytes)
    for text in texts:
        counter.add(text)
    return counter.close()


def stripped(texts: list[str], folder: Path, min_documents: int = 3) -> list[str]:
    frequent = frequent_lines([count(folder, texts)], min_documents)
    return [strip_boilerplate(text, frequent) for text in texts]


def test_frequent_lines_go_and_gaps_close(tmp_path: Path) -> None:
    texts = [
        f"{BANNER}\n\nFirst story begins.\n\n  {BANNER}  \n\nAnd it ends.\n\n{MENU}",
        f"{MENU}\n{BANNER}",
        f"Second story, all of it.\n{BANNER}",
        "Third story, without a banner.",
    ]
    assert stripped(texts, tmp_path) == [
        f"First story begins.\n\nAnd it ends.\n\n{MENU}",
        MENU,
        "Second story, all of it.",
        "Third story, without a banner.",
    ]


def test_a_line_counts_once_in_a_document(tmp_path: Path) -> None:
    texts = [f"{BANNER}\n" * 5 + "One more line", f" {BANNER}"]
    assert stripped(texts, tmp_path / "three") == texts
    assert stripped(texts, tmp_path / "two", min_documents=2) == ["One more line", ""]


def test_short_lines_stay(tmp_path: Path) -> None:
    texts = [f"123456789\n1234567890\n{number}" for number in range(3)]
    assert stripped(texts, tmp_path) == [f"123456789\n{number}" for number in range(3)]


def test_a_text_without_frequent_lines_is_given_back_as_it_is(tmp_path: Path) -> None:
    frequent = frequent_lines([count(tmp_path, [BANNER] * 3)], 3)
    text = "  A text of its own.\n\n\n\nAs it is. \n"
    assert strip_boilerplate(text, frequent) is text
    assert strip_boilerplate(text, frequent[:0]) is text


def test_nothing_counted_gives_nothing(tmp_path: Path) -> None:
    assert frequent_lines([], 2).dtype == np.uint64
    assert len(frequent_lines([count(tmp_path, ["", "short"])], 2)) == 0


LINES = [f"line number {number}" for number in range(12)]
corpora = st.lists(
    st.lists(st.sampled_from(LINES), max_size=8).map("\n".join), min_size=1, max_size=20
)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), texts=corpora, min_documents=st.integers(2, 5))
def test_order_and_spread_and_memory_do_not_matter(
    data: st.DataObject,
    texts: list[str],
    min_documents: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    counts = Counter(line for text in texts for line in set(text.split("\n")) if line)
    alone = [count(folder / line, [line] * 2) for line in LINES]
    hashes = {
        int(frequent_lines([path], 2)[0]): line for path, line in zip(alone, LINES, strict=True)
    }

    shuffled = data.draw(st.permutations(texts))
    cut = data.draw(st.integers(0, len(texts)))
    max_bytes = data.draw(st.sampled_from([32, 200, 2**20]))
    parts = [shuffled[:cut], shuffled[cut:]]
    folders = [count(folder / str(n), part, max_bytes) for n, part in enumerate(parts)]
    found = frequent_lines(folders, min_documents)

    assert {hashes[int(value)] for value in found} == {
        line for line, number in counts.items() if number >= min_documents
    }
    assert (np.diff(found) > 0).all()
    np.testing.assert_array_equal(frequent_lines(folders[::-1], min_documents), found)


def test_many_runs_are_added_up_range_by_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["\n".join(f"this is line {n}" for n in range(500) if n % d == 0) for d in range(1, 9)]
    whole = frequent_lines([count(tmp_path / "whole", texts)], 4)
    monkeypatch.setattr(boilerplate, "_ENTRIES_AT_ONCE", 16)
    folder = count(tmp_path / "parts", texts, max_bytes=1024)
    assert len(list(folder.iterdir())) > 3
    np.testing.assert_array_equal(frequent_lines([folder], 4), whole)
    expected = sum(sum(n % d == 0 for d in range(1, 9)) >= 4 for n in range(500))
    assert len(whole) == expected > 50


def test_documents_longer_than_a_piece_count_each_line_once(tmp_path: Path) -> None:
    text = f"{BANNER}\n" + "x" * 70_000 + f"\n{BANNER}\n{MENU}"
    assert len(frequent_lines([count(tmp_path / "one", [text])], 2)) == 0
    frequent = frequent_lines([count(tmp_path / "two", [text, BANNER])], 2)
    assert strip_boilerplate(text, frequent) == "x" * 70_000 + f"\n{MENU}"


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text("ab\n \u0301", max_size=60), min_size=1, max_size=4))
def test_what_is_left_of_a_normalised_text_is_normalised(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [normalise("\n".join([text, BANNER, text, MENU, BANNER, text]))[0] for text in texts]
    for text in stripped(texts + texts, tmp_path_factory.mktemp("lines"), min_documents=2):
        assert normalise(text)[0] == text
        assert BANNER not in text


def test_hashes_do_not_change_between_processes(tmp_path: Path) -> None:
    """They are kept in files, and what was removed must not depend on the run."""
    found = frequent_lines([count(tmp_path, [BANNER, BANNER])], 2)
    assert [hex(value) for value in found.tolist()] == ["0x12531c77da3839ca"]
