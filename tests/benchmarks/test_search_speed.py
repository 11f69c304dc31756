"""The benchmark of search measures every kind of query."""

from pathlib import Path

from tests.benchmarks.search_speed import make, measure


def test_every_kind_is_measured(tmp_path: Path) -> None:
    make(tmp_path, 200, 8)
    found = measure(tmp_path, 2)
    seconds = {"once_s", "load_s", "vector_s", "like_s", "where_s"}
    assert set(found) == {*seconds, "memory_bytes", "recall_at_10"}
    assert found["recall_at_10"] == 1.0  # so few are compared one by one
    assert all(value > 0 for value in found.values())
