import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from model.threads import shared_out
from tests.contracts.code import ROOT


@pytest.fixture(params=[1, 2, 3])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_every_number_is_worked_on_once(num_threads: int, count: int) -> None:
    parts: list[tuple[int, int]] = []
    shared_out(lambda first, end: parts.append((first, end)), count)
    assert sorted(number for part in parts for number in range(*part)) == list(range(count))
    assert len(parts) == max(1, min(num_threads, count))


def test_parts_are_worked_on_side_by_side(num_threads: int) -> None:
    everyone = threading.Barrier(num_threads, timeout=30)
    shared_out(lambda first, end: everyone.wait() and None, 100)


def test_an_error_reaches_the_caller(num_threads: int) -> None:
    def work(first: int, end: int) -> None:
        if end == 10:
            raise ValueError("the last part")

    with pytest.raises(ValueError, match="the last part"):
        shared_out(work, 10)


FORKING = """
import multiprocessing
import torch
from model.threads import shared_out

def work():
    shared_out(lambda first, end: None, 10)

for num_threads in (1, 2, 3):
    torch.set_num_threads(num_threads)
    work()  # so that there are threads to lose
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0, num_threads
"""


def test_a_forked_process_has_threads_of_its_own() -> None:
    """In a new process: what other tests have loaded into this one may mind being forked."""
    subprocess.run([sys.executable, "-c", FORKING], check=True, cwd=ROOT)
