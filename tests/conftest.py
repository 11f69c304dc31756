"""What every test stands on."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.table import ROWS_VARIABLE, Table

# Read when torch is loaded: threads that spin while they wait starve the others on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_DYNAMIC"] = "FALSE"  # as the command line has it

# A gzip header with a time in it, as pytest writes it in a test's name.
GZIP_TIME = re.compile(r"\\x1f\\x8b\\x08\\x..(?!\\x00\\x00\\x00\\x00)")


# Runs of the whole chain, the longest first: begun last, one would keep a single process busy.
FIRST = (
    "test_readme.py",
    "test_workers.py",
    "test_chain.py",
    "test_refresh.py",
    "test_gate.py",
    "test_compose.py",
    "test_forecast_command.py",
    "test_ranks_stage.py",
    "test_dask_cluster.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, and refuse names that hold the time: two processes of one run would
    collect different tests."""
    for item in items:
        if GZIP_TIME.search(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid[:80]}: give this parameter an id of its own")
    items.sort(key=lambda item: (*FIRST, item.path.name).index(item.path.name))


@pytest.fixture
def table() -> Table:
    """Of faults, to which tests of them add."""
    path = os.environ.get(ROWS_VARIABLE)
    return Table(Path(path) if path else None)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """How a sum is divided among threads decides its last bits; other tests may have changed it."""
    import torch  # not for those who only collect

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
