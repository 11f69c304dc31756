"""What the tests of faults share: a chain that was never disturbed, and the table."""

import os
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName, load_stage
from tests.faults.changes import done_apart
from tests.faults.stages import run_stage, write_corpus
from tests.faults.table import Table

ENDS: tuple[StageName, ...] = ("probe", "evaluate", "export")  # nothing stands on these
ROWS_VARIABLE = "CORPUSMITH_FAULT_ROWS"  # a file to add rows to


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts").resolve() / "corpus"
    write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def whole(corpus: Path) -> Path:
    """A workspace with every stage's artifact. Made in another process, so that this one has no
    threads when it forks those that are killed; the code is loaded here, once for all of them."""
    for name in STAGE_NAMES:
        load_stage(name)
    workspace = corpus.parent / "whole"
    for name in ENDS:
        assert done_apart(partial(run_stage, name, corpus, workspace)) == 0
    return workspace


@pytest.fixture
def table() -> Table:
    path = os.environ.get(ROWS_VARIABLE)
    return Table(Path(path) if path else None)
