"""SIGTERM ends a process in time, though whoever handles it waits for something else."""

import subprocess
import sys

PROGRAM = """
import os, signal, time
from flows import leaving

leaving.LEAVE_S = 0.2
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
leaving.leave_in_time()
"""
WAITING = "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)"
AT_WORK = """
with leaving.at_work():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)
    print("done", flush=True)
time.sleep(60)
"""
SIDE_BY_SIDE = """
import threading

def work():
    with leaving.at_work():
        begun.set()
        time.sleep(1)
        print("done", flush=True)

begun = threading.Event()
with leaving.at_work():
    threading.Thread(target=work).start()
    begun.wait()
with leaving.at_work():
    pass
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
TOLD = "leaving.told.set()\n" + WAITING
OF_A_CHILD = """
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
time.sleep(1)
"""
LINE = "corpusmith: stopped by SIGTERM: run the same command again to go on\n"


def run(deed: str) -> tuple[int, str, str]:
    """Exit status, and what was said."""
    command = [sys.executable, "-c", PROGRAM + deed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    return done.returncode, done.stdout, done.stderr


def test_nothing_is_taken_apart_after_the_line() -> None:
    deed = "class Large:\n    def __del__(self): print('apart')\nlarge = Large()\n"
    assert run(deed) == (0, "apart\n", "")
    assert run(f"{deed}leaving.skip_teardown()\nleaving.told.set()") == (143, "", "")


def test_what_waits_is_ended() -> None:
    assert run(WAITING) == (143, "heard\n", LINE)


def test_the_line_is_said_once() -> None:
    assert run(TOLD) == (143, "heard\n", "")


def test_work_comes_to_its_own_end() -> None:
    assert run(AT_WORK) == (143, "heard\ndone\n", LINE)


def test_none_of_several_works_is_cut_off() -> None:
    assert run(SIDE_BY_SIDE) == (143, "heard\ndone\n", LINE)


def test_the_signal_of_a_forked_child_is_not_ours() -> None:
    assert run(OF_A_CHILD) == (0, "heard\n", "")
