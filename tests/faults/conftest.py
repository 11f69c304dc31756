"""What the tests of faults share: a chain that was never disturbed."""

import contextlib
import importlib
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from flows.graph import StageName
from tests.faults.changes import done_apart
from tests.faults.small_disk import why_not_mounted
from tests.faults.stages import run_stage, write_corpus

ENDS: tuple[StageName, ...] = ("probe", "evaluate", "export")  # nothing stands on these


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts").resolve() / "corpus"
    write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def whole(corpus: Path) -> Path:
    """A workspace with every stage's artifact. Made in another process, so that this one has no
    threads when it forks those that are killed; the code is loaded here, once for all of them."""
    num_threads = threading.active_count()
    workspace, names = corpus.parent / "whole", corpus.parent / "modules"
    assert done_apart(partial(_run_all, corpus, workspace, names)) == 0
    for name in names.read_text().split():
        with contextlib.suppress(ImportError):  # some are no modules of their own
            importlib.import_module(name)
    assert threading.active_count() == num_threads
    return workspace


@pytest.fixture(scope="session")
def tokens(corpus: Path) -> Path:
    """A workspace with all that pretraining reads."""
    workspace = corpus.parent / "tokens"
    run_stage("tokenize", corpus, workspace)
    return workspace


def _run_all(corpus: Path, workspace: Path, names: Path) -> None:
    """Run every stage, and write down which modules that took."""
    for stage in ENDS:
        run_stage(stage, corpus, workspace)
    names.write_text("\n".join(sorted(sys.modules)))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An empty folder at which `small_disk.mount` can put a disk."""
    place = tmp_path / "disk"
    place.mkdir()
    if reason := why_not_mounted(place):
        pytest.skip(reason)
    return place
