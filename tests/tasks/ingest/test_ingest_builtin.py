"""The built-in corpus is the documentation of the running Python's standard library."""

import gzip
import inspect
import sys
from typing import Any

import pytest

from tasks.ingest.config import IngestConfig
from tasks.ingest.places.builtin_files import find_builtin_files
from tasks.ingest.places.sources import sources
from tasks.ingest.reading.builtin import read_builtin
from tasks.ingest.reading.records import Record, Refusal

MODULE = b'''
"""  First line.

    Indented.
"""
def f(): "of f"
async def g():
    """Of g."""
def silent(): pass
class C:
    """Of C."""
    def method(self):
        """Of method."""
    def bare(self): ...
class D:
    def only(self): """Of only."""
def f(): """Again."""
if True:
    def inside(): """Not at the top."""
'''


def test_documents_of_a_module() -> None:
    found = list(read_builtin([MODULE[:50], MODULE[50:]], source="pack/mod.py"))
    assert [(one.doc_id, one.columns["kind"], one.columns["text"]) for one in found] == [
        ("pack/mod.py", "module", "First line.\n\nIndented."),
        ("pack/mod.py#f", "function", "of f"),
        ("pack/mod.py#g", "function", "Of g."),
        ("pack/mod.py#C", "class", "C\nOf C.\n\nC.method\nOf method."),
        ("pack/mod.py#D", "class", "D.only\nOf only."),
        ("pack/mod.py#f~2", "function", "Again."),
    ]
    assert {one.columns["module"] for one in found} == {"pack.mod"}


def test_a_package_and_a_broken_module() -> None:
    (record,) = read_builtin([b'"doc"'], source="json/__init__.py")
    assert isinstance(record, Record)
    assert record.columns["module"] == record.columns["name"] == "json"
    (refusal,) = read_builtin([b"def ("], source="x.py")
    assert isinstance(refusal, Refusal)


def test_tests_of_the_library_are_left_out() -> None:
    names = [file.name for file in find_builtin_files()]
    assert "gzip.py" in names
    assert names == sorted(names)
    assert not [name for name in names if {"test", "tests", "site-packages"} & {*name.split("/")}]


@pytest.mark.timeout(60)
def test_the_built_in_corpus(ingest: Any) -> None:
    before = set(sys.modules)
    found = ingest(fill=False)
    assert not {"antigravity", "this", "turtledemo"} & (set(sys.modules) - before)
    documents = {document.doc_id: document for document in found.corpus.documents()}
    assert documents["gzip.py#open"].text == inspect.getdoc(gzip.open)
    assert documents["gzip.py#open"].metadata == {
        "module": "gzip",
        "kind": "function",
        "name": "open",
    }
    assert found.metrics["num_quarantined"] == 0
    assert found.metrics["num_kept"] > 3000
    assert found.metrics["num_text_bytes"] > 1.5e6
    assert len(sources(IngestConfig())) == found.metrics["num_source_files"]
