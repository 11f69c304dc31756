"""A part of the training documents: larger parts hold smaller ones, nothing else moves."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest.config import IngestConfig
from tasks.ingest.splits import draw_of, training_draw_of
from tests.folders import all_bytes
from tests.tasks.ingest.test_ingest_decide import Doc, Verdict, chain, judged, text

BEYOND = ("dropped", "beyond_train_frac", None, None)
DOCS = [Doc(str(number), text(number)) for number in range(160)]


def judge(docs: list[Doc], folder: Path, train_frac: float, **given: Any) -> dict[str, Verdict]:
    folder.mkdir(parents=True)
    found = judged(docs, folder, train_frac=train_frac, **given)
    return {doc.id: verdict for doc, verdict in zip(docs, found, strict=True)}


def kept_of(verdicts: dict[str, Verdict], split: str) -> set[str]:
    return {doc_id for doc_id, verdict in verdicts.items() if verdict[3] == split}


@settings(max_examples=20, deadline=None)
@given(
    fracs=st.lists(st.floats(0.001, 1), min_size=2, max_size=4).map(sorted), seed=st.integers(0, 3)
)
def test_larger_parts_hold_smaller_ones_and_nothing_else_moves(
    tmp_path_factory: pytest.TempPathFactory, fracs: list[float], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("nested")
    whole = judge(DOCS, folder / "whole", 1.0, seed=seed)
    num_train = len(kept_of(whole, "train"))
    smaller: set[str] = set()
    for number, frac in enumerate(fracs):
        part = judge(DOCS, folder / str(number), frac, seed=seed)
        train = kept_of(part, "train")
        assert smaller <= train <= kept_of(whole, "train")
        assert abs(len(train) - frac * num_train) <= 1
        assert train, "there is always something to learn from"
        for doc_id, verdict in part.items():
            assert verdict in (whole[doc_id], BEYOND)
            assert whole[doc_id][3] == "train" or verdict == whole[doc_id]
        smaller = train


def test_which_documents_stay_depends_on_the_texts_alone(tmp_path: Path) -> None:
    plain = judge(DOCS, tmp_path / "a", 0.3)
    turned = judge(DOCS[::-1], tmp_path / "b", 0.3)
    assert plain == turned
    assert plain != judge(DOCS, tmp_path / "c", 0.3, seed=1)


def test_who_is_near_the_test_split_says_nothing_of_who_stays() -> None:
    hashes = [number.to_bytes(32, "big") for number in range(4000)]
    low = [one for one in hashes if draw_of(one, 0) < 2**63]
    share = sum(training_draw_of(one, 0) < 2**63 for one in low) / len(low)
    assert share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("split_column", [None, "s"])
def test_groups_of_near_duplicates_stay_or_go_whole(
    tmp_path: Path, split_column: str | None
) -> None:
    given = {"near_duplicate_threshold": 0.75}
    near = chain(12)
    docs = [*near, *(Doc(f"x{number}", text(number)) for number in range(40))]
    if split_column:
        docs = [Doc(doc.id, doc.text, "train") for doc in docs]
        docs += [Doc("v", text(100), "validation"), Doc("t", text(101), "test")]
    fates = set()
    for seed in range(8):
        whole = judge(docs, tmp_path / f"{seed}-whole", 1.0, seed=seed, **given)
        part = judge(docs, tmp_path / f"{seed}-part", 0.5, seed=seed, **given)
        if whole[near[0].id][3] not in ("train", None):
            continue
        members = [doc.id for doc in near if whole[doc.id][0] == "kept"]
        assert len(members) > 1
        [status] = {part[doc_id][0] for doc_id in members}
        fates.add(status)
    assert fates == {"kept", "dropped"}


def test_duplicates_go_with_what_they_repeat(tmp_path: Path) -> None:
    docs = [*DOCS, *(Doc(f"{doc.id} again", doc.text) for doc in DOCS)]
    part = judge(docs, tmp_path / "part", 0.25)
    for doc in DOCS:
        if part[doc.id] == BEYOND:
            assert part[f"{doc.id} again"] == BEYOND
        else:
            assert part[f"{doc.id} again"] == ("duplicate_of", "exact_duplicate", doc.id, None)


def test_a_column_of_splits_is_thinned_in_train_only(tmp_path: Path) -> None:
    splits = ["train"] * 80 + ["dev"] * 10 + ["test"] * 10
    docs = [Doc(doc.id, doc.text, split) for doc, split in zip(DOCS[:100], splits, strict=True)]
    part = judge(docs, tmp_path / "part", 0.25)
    assert Counter(verdict[3] for verdict in part.values()) == {
        "train": 20,
        "validation": 10,
        "test": 10,
        None: 60,
    }


def write(path: Path, documents: int) -> Path:
    lines = [json.dumps({"text": text(number), "n": number}) + "\n" for number in range(documents)]
    path.write_text("".join([*lines, lines[0], lines[1]]))
    return path


def test_the_ledger_answers_for_those_left_out(tmp_path: Path, ingest: Callable[..., Any]) -> None:
    source = write(tmp_path / "a.jsonl", 100)
    whole, part = ingest(source, fill=False), ingest(source, fill=False, train_frac=0.25)
    rows = pq.read_table(part.folder / "ledger.parquet").to_pylist()
    statuses = Counter(row["status"] for row in rows)
    metrics = part.metrics
    assert len(rows) == metrics["num_read"] == sum(statuses.values()) == 102
    assert statuses["dropped"] == metrics["num_dropped"] == metrics["num_dropped_beyond_train_frac"]
    train = whole.metrics["num_train_documents"]
    assert metrics["num_train_documents"] == -(-train // 4)
    for split in ("validation", "test"):
        name = f"num_{split}_documents"
        assert metrics[name] == whole.metrics[name]
    kept = {row["doc_id"] for row in rows if row["status"] == "kept"}
    assert {row["kept_doc_id"] for row in rows} - {None} == kept
    assert set(part.texts) == kept
    assert "beyond_train_frac" in (part.folder / "report.html").read_text()
    assert "(no text)" not in (part.folder / "report.html").read_text()


def test_a_corpus_that_grows_is_as_if_read_afresh(
    tmp_path: Path, ingest: Callable[..., Any]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.jsonl", 60)
    before = ingest(folder, fill=False, train_frac=0.4)
    (folder / "b.jsonl").write_text(json.dumps({"text": text(500), "n": 1}) + "\n")
    grown = ingest(folder, fill=False, train_frac=0.4, earlier=before)
    afresh = ingest(folder, fill=False, train_frac=0.4)
    assert all_bytes(grown.folder) == all_bytes(afresh.folder)


def test_all_of_it_is_the_default_and_none_is_no_fraction() -> None:
    assert IngestConfig().train_frac == 1
    for wrong in (0, 1.01, -1):
        with pytest.raises(ValueError, match="train_frac"):
            IngestConfig(train_frac=wrong)
