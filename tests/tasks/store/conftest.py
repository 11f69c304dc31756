"""A fresh store for each test, and what it says."""

from pathlib import Path

import pytest

from tasks.store.store import Store
from tests.tasks.store.making import Listener, new_store


@pytest.fixture
def warnings() -> Listener:
    return Listener()


@pytest.fixture
def store(tmp_path: Path, warnings: Listener) -> Store:
    return new_store(tmp_path, warnings)
