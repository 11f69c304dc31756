"""What the tests of the pointer start from: a workspace, and what can be published in it."""

from pathlib import Path

import pytest

from tasks.store.store import Store
from tests.tasks.release.pairs import Pair, pair_of
from tests.tasks.store.making import identity_of, make, new_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def pairs(store: Store) -> list[Pair]:
    """Three embedders, each with its export of one corpus."""
    corpus = make(store, identity_of("ingest"))
    return [pair_of(store, corpus, k) for k in range(3)]
