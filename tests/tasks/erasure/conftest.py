"""A workspace to erase from, made once and copied."""

import shutil
from pathlib import Path

import pytest

from tests.tasks.erasure.workshop import CANARY, NEAR, Workshop, records

TWINS = (
    {"id": "copy", "text": CANARY, "split": "train"},
    {"id": "near", "text": NEAR, "split": "train"},
)


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace before any erasure; tests work on copies."""
    workshop = Workshop(tmp_path_factory.mktemp("made"))
    workshop.write(records(*TWINS))
    workshop.run()
    return workshop


@pytest.fixture
def workshop(made: Workshop, tmp_path: Path) -> Workshop:
    shutil.copytree(made.folder, tmp_path / "copy", symlinks=True)
    return Workshop(tmp_path / "copy", dict(made.refs))
