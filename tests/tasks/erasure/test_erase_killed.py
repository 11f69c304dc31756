"""An erasure that is killed: nothing is damaged meanwhile, and the next one ends the same."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from model.errors import RequestError
from tasks.erasure.erase import erase
from tasks.erasure.records import read_pending
from tasks.store.erased import read_erased
from tasks.tombstones import pending_file, read_tombstones
from tests.faults.table import Table
from tests.tasks.erasure.traces import traces
from tests.tasks.erasure.workshop import CANARY, PHRASE, Workshop, records
from tests.tasks.store.making import killed_at_change

TWIN = {"id": "copy", "text": CANARY, "split": "train"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    workshop = Workshop(tmp_path_factory.mktemp("made"))
    workshop.write(records(TWIN))
    workshop.run()
    return workshop


def copy(made: Workshop, folder: Path) -> Workshop:
    shutil.copytree(made.folder, folder, symlinks=True)
    return Workshop(folder, dict(made.refs))


def contents(workshop: Workshop) -> dict[str, dict[str, str]]:
    """What the files of every artifact have to hold since."""
    found = {}
    for stage in workshop.refs:
        erased = read_erased(workshop.path(stage))
        found[stage] = {name: file.after.sha256 for name, file in erased.files.items()}
    return found


@pytest.mark.faults
def test_killed_at_any_moment_it_ends_the_same(
    made: Workshop, tmp_path: Path, table: Table
) -> None:
    whole = copy(made, tmp_path / "whole")
    erase(whole.store, whole.wish("canary"))
    stones = read_tombstones(whole.store.workspace)
    number, num_pending = 3, 0
    while True:
        workshop = copy(made, tmp_path / f"at-{number}")
        store = workshop.store
        work = partial(erase, store, workshop.wish("canary"))
        if not killed_at_change(number, workshop.root, work):
            break
        assert workshop.store.verify_all() == [], number
        if pending_file(store.workspace).exists():
            num_pending += 1
            with pytest.raises(RequestError, match="corpusmith erase --yes"):
                workshop.run()
        # the same again, or only the wish to end it
        ids = ["canary"] if number % 2 or not pending_file(store.workspace).exists() else []
        erase(workshop.store, workshop.wish(*ids))
        assert contents(workshop) == contents(whole), number
        assert read_tombstones(workshop.store.workspace) == stones
        assert workshop.store.verify_all() == []
        assert not traces(workshop.root, phrases=[PHRASE]), number
        shutil.rmtree(workshop.folder)
        number += 13
    assert num_pending >= 8
    kills = f"SIGKILL at {number // 13} places"
    table.add(kills, "erase", "nothing damaged; the next ends the same")


def test_what_is_ended_with_more_stays_the_same_erasure(made: Workshop, tmp_path: Path) -> None:
    workshop = copy(made, tmp_path / "copy")
    work = partial(erase, workshop.store, workshop.wish("canary"))
    number = 60
    while not pending_file(workshop.store.workspace).exists():
        assert killed_at_change(number, workshop.root, work)
        number += 15
    before = read_pending(workshop.store.workspace)
    assert before
    other = records()[0]["id"]
    receipt = erase(workshop.store, replace(workshop.wish(other), reason=""))
    assert receipt["doc_ids"] == sorted(["canary", other])
    kept = json.loads(Path(receipt["receipt"]).read_text())
    assert (kept["erasure_id"], kept["reason"]) == (before["erasure_id"], "asked for")
    stones = read_tombstones(workshop.store.workspace)
    assert all(stones.cover(doc_id) for doc_id in ("canary", other))
