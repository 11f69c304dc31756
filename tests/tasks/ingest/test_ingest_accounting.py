"""Whatever the input: every document is answered for, once, and nothing good is lost."""

import gzip
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.corpus import Corpus
from tasks.ingest.cleaning.normalisation import normalise

texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["same", "caf\u00e9", "cafe\u0301", " ", "", "\ufeff", "\0"]),
)
good = texts.map(lambda text: json.dumps({"text": text}).encode())
bad = st.one_of(
    st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from(
        [
            b'{"text": "\\ud800"}',
            b'{"text": 1}',
            b"{}",
            b"[]",
            b'{"text": NaN}',
            b'{"text": "\xff"}',
        ]
    ),
)
files = st.lists(st.one_of(good, good, bad), max_size=12).map(
    lambda lines: b"\n".join([b"", *lines])  # the blank line: no file begins as a gzip or a PDF
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(contents=st.lists(st.tuples(files, st.booleans()), min_size=1, max_size=3))
def test_every_document_is_answered_for(
    ingest: Callable[..., Any], contents: list[tuple[bytes, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, (content, packed) in enumerate(contents):
            name = f"{number}.jsonl" + (".gz" if packed else "")
            data = gzip.compress(content) if packed else content
            Path(folder, name).write_bytes(data)
        found = ingest(folder, max_quarantined_frac=1, near_duplicate_threshold=None)
    check_accounts(found)
    check_nothing_good_is_lost(found, [content for content, _ in contents])


def check_accounts(found: Any) -> None:
    about, m = Corpus(found.folder).about, found.metrics
    ledger = pq.read_table(found.folder / "ledger.parquet").to_pylist()
    quarantine = pq.read_table(found.folder / "quarantine.parquet").to_pylist()
    documents = list(Corpus(found.folder).documents())
    by_status = Counter(row["status"] for row in ledger)
    assert m["num_read"] == len(ledger) == about.num_read
    assert m["num_kept"] == by_status["kept"] == len(documents)
    assert m["num_duplicate"] == by_status["duplicate_of"]
    assert m["num_dropped"] == by_status["dropped"]
    assert m["num_quarantined"] == by_status["quarantined"] == len(quarantine)
    assert m["num_read"] == by_status.total()
    assert sum(about.reasons.values()) == by_status["dropped"] + by_status["quarantined"]
    kept = [document.doc_id for document in documents]
    assert len(set(kept)) == len(kept)
    assert [row["doc_id"] for row in ledger if row["status"] == "kept"] == kept
    assert {row["kept_doc_id"] for row in ledger} - {None} == set(kept)
    for document in documents:
        assert hashlib.sha256(document.text.encode()).digest() == document.content_sha256
    assert sum(about.num_text_bytes.values()) == sum(len(d.text.encode()) for d in documents)


def check_nothing_good_is_lost(found: Any, contents: list[bytes]) -> None:
    kept = set(found.texts.values())
    wanted = {
        clean
        for content in contents
        for line in content.split(b"\n")
        if (text := good_text(line)) is not None and (clean := normalise(text)[0]).strip()
    }
    assert kept == wanted


def good_text(line: bytes) -> str | None:
    """The text of a line that any strict reader would take."""
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=int)
        text = value["text"]
        text.encode("utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return text if isinstance(text, str) else None
