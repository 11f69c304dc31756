"""What every test stands on."""

import os

import pytest

# Read when torch is loaded: threads that spin while they wait starve the others on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_DYNAMIC"] = "FALSE"  # as the command line has it

GZIP_BEGINS = r"\x1f\x8b"  # as pytest writes it in a test's name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that hold gzip data: its header holds the time, so that two processes of one
    run would collect different tests."""
    for item in items:
        if GZIP_BEGINS in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid[:80]}: give this parameter an id of its own")
