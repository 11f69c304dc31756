"""A run's record says how it goes, also where nobody was left to write that down."""

import json
import subprocess
import sys

from tasks.store.run_records import begun, ended, is_going_on_here, state_of

BEGIN = "import json; from tasks.store.run_records import begun; print(json.dumps(begun('r', 'f')))"


def test_a_run_at_work_is_seen_until_it_ends() -> None:
    record = begun("run-1", "pipeline")
    assert state_of(record) == "running"
    assert is_going_on_here(record)
    done = ended(record | {"artifacts": {}}, "failed")
    assert state_of(done) == "failed"
    assert not is_going_on_here(done)
    assert 0 <= done["seconds"] < 60
    assert set(done) == {"run_id", "flow", "state", "started_at", "seconds", "artifacts"}


def test_one_whose_process_is_gone_has_died() -> None:
    text = subprocess.run([sys.executable, "-c", BEGIN], capture_output=True, check=True).stdout
    record = json.loads(text)
    assert state_of(record) == "died"
    assert not is_going_on_here(record)


def test_one_of_another_machine_is_believed() -> None:
    record = begun("run-1", "pipeline")
    record["owner"]["machine"] = "elsewhere/1/"
    assert state_of(record) == "running"
    assert not is_going_on_here(record)


def test_records_without_a_state_were_written_at_the_end() -> None:
    assert state_of({"run_id": "old"}) == "completed"
