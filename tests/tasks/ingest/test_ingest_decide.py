"""Which candidates are kept depends on what they say, not on how the files lie."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.corpus import SPLITS
from tasks.ingest.cleaning.cleaner import Candidate, Cleaner
from tasks.ingest.config import IngestConfig
from tasks.ingest.decide import REASONS, STATUSES, decide
from tasks.ingest.parts import Part, PartWriter, part_path
from tasks.ingest.reading.records import Reason, Record, Refusal
from tasks.ingest.row_builder import RowBuilder


@dataclass(frozen=True)
class Doc:
    id: str
    text: str
    split: str | None = None


Verdict = tuple[str, str | None, str | None, str | None]  # status, reason, kept id, split


def judged(docs: Sequence[Doc | Reason], folder: Path, **given: Any) -> list[Verdict]:
    """What is decided about each document, in order."""
    has_splits = any(isinstance(doc, Doc) and doc.split for doc in docs)
    config = IngestConfig(**{"split_column": "s" if has_splits else None, **given})
    part = write_part(docs, config, folder)
    decisions = decide([part], config, folder / "signatures")
    ids = [doc.id if isinstance(doc, Doc) else "" for doc in docs]
    return [
        (
            STATUSES[decisions.status[row]],
            REASONS[decisions.reason[row]],
            ids[kept] if (kept := decisions.kept_row[row]) >= 0 else None,
            (*SPLITS, None)[decisions.split[row]],
        )
        for row in range(len(docs))
    ]


def write_part(docs: Sequence[Doc | Reason], config: IngestConfig, folder: Path) -> Part:
    builder = RowBuilder(config.near_duplicate_threshold, {})
    cleaner = Cleaner(config)
    for number, doc in enumerate(docs):
        if isinstance(doc, Reason):
            builder.refuse("f", "f", f"f#{number}", Refusal(number, doc))
            continue
        record = Record(number, None, {"s": doc.split} if doc.split else {}, doc.id, text=doc.text)
        _, candidate = cleaner.judge(record, "f")
        assert isinstance(candidate, Candidate)
        builder.add("f", "f", record, candidate)
    writer = PartWriter(folder, builder.schema)
    batch = builder.take()
    writer.write([batch] if batch is not None else [], 10**6)
    writer.close()
    return Part(len(docs), part_path(folder, 0))


def words(seed: int, count: int = 30) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(10**6)}" for _ in range(count)]


def text(seed: int, tail: str = "") -> str:
    return " ".join(words(seed)) + tail


def test_of_one_text_the_first_is_kept(tmp_path: Path) -> None:
    found = judged([Doc("a", text(1)), Doc("b", text(2)), Doc("c", text(1))], tmp_path)
    assert [verdict[:3] for verdict in found] == [
        ("kept", None, None),
        ("kept", None, None),
        ("duplicate_of", "exact_duplicate", "a"),
    ]


def test_of_similar_texts_the_longest_is_kept(tmp_path: Path) -> None:
    docs = [Doc("a", text(1)), Doc("b", text(1, " tail")), Doc("c", text(1)), Doc("d", text(2))]
    found = judged(docs, tmp_path)
    assert [verdict[:3] for verdict in found] == [
        ("duplicate_of", "near_duplicate", "b"),
        ("kept", None, None),
        ("duplicate_of", "exact_duplicate", "b"),
        ("kept", None, None),
    ]


def test_without_a_threshold_only_equal_texts_go(tmp_path: Path) -> None:
    docs = [Doc("a", text(1)), Doc("b", text(1, " tail")), Doc("c", text(1))]
    found = judged(docs, tmp_path, near_duplicate_threshold=None)
    assert [verdict[0] for verdict in found] == ["kept", "kept", "duplicate_of"]


def test_an_id_stands_for_one_text(tmp_path: Path) -> None:
    docs = [Doc("a", text(1)), Doc("a", text(2)), Doc("b", text(2)), Doc("a", text(1))]
    found = judged(docs, tmp_path)
    assert [verdict[:3] for verdict in found] == [
        ("kept", None, None),
        ("quarantined", "duplicate_id", None),
        ("kept", None, None),
        ("duplicate_of", "exact_duplicate", "a"),
    ]


def test_refused_rows_stay_refused(tmp_path: Path) -> None:
    docs = [Reason.EMPTY, Doc("a", text(1)), Reason.BAD_JSON]
    assert [verdict[0] for verdict in judged(docs, tmp_path)] == ["dropped", "kept", "quarantined"]


def test_nothing_but_refusals(tmp_path: Path) -> None:
    assert [verdict[0] for verdict in judged([Reason.EMPTY], tmp_path)] == ["dropped"]


def test_given_splits_keep_what_is_measured_on(tmp_path: Path) -> None:
    docs = [
        Doc("a", text(1, " a longer end than the other"), "train"),
        Doc("b", text(1), "dev"),
        Doc("c", text(2), "train"),
        Doc("d", text(2), "test"),
    ]
    found = judged(docs, tmp_path, near_duplicate_threshold=0.7)
    assert found == [
        ("duplicate_of", "near_duplicate", "b", None),
        ("kept", None, None, "validation"),
        ("duplicate_of", "exact_duplicate", "d", None),
        ("kept", None, None, "test"),
    ]


def chain(length: int) -> list[Doc]:
    """Documents of which each is similar to the next, and the ends have nothing in common."""
    pool = words(7, 40 + 2 * length)
    return [Doc(str(n), " ".join(pool[2 * n : 2 * n + 40])) for n in range(length)]


def test_a_document_goes_only_for_one_it_is_similar_to(tmp_path: Path) -> None:
    docs = chain(12)
    found = judged(docs, tmp_path, near_duplicate_threshold=0.75)
    kept = {doc.id for doc, verdict in zip(docs, found, strict=True) if verdict[0] == "kept"}
    assert 2 <= len(kept) < 12
    for doc, (status, _, kept_id, _) in zip(docs, found, strict=True):
        if status != "kept":
            assert kept_id in kept
            assert abs(int(kept_id or 0) - int(doc.id)) <= 4


def test_a_chain_of_similar_documents_has_one_split(tmp_path: Path) -> None:
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = judged(chain(12), folder, near_duplicate_threshold=0.75, seed=seed)
        assert len({verdict[3] for verdict in found if verdict[0] == "kept"}) == 1


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(24)), seed=st.integers(0, 5))
def test_the_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], seed: int
) -> None:
    docs = [Doc(str(n), text(n // 4 + 100 * seed, f" end {n % 4}")) for n in range(16)]
    docs += [Doc(str(16 + n), doc.text) for n, doc in enumerate(chain(8))]
    folder = tmp_path_factory.mktemp("order")
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    plain = judged(docs, folder / "a", near_duplicate_threshold=0.75)
    mixed = judged([docs[n] for n in order], folder / "b", near_duplicate_threshold=0.75)
    assert [plain[n] for n in order] == mixed


def test_splits_are_drawn_from_the_text_alone(tmp_path: Path) -> None:
    """What else the corpus holds changes nothing for a document without near duplicates."""
    docs = [Doc(str(n), text(n)) for n in range(400)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = judged(docs, tmp_path / "a")
    part = judged(docs[::2], tmp_path / "b")
    assert whole[::2] == part
    counts = np.unique([str(verdict[3]) for verdict in whole], return_counts=True)
    assert dict(zip(*map(list, counts), strict=True)) == pytest.approx(
        {"test": 40, "train": 340, "validation": 20}, abs=20
    )
