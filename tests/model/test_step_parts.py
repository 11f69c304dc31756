from collections.abc import Mapping

import pytest
import torch

from model.step_parts import Part, StepParts


class SetClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spend(parts: StepParts, clock: SetClock, seconds: Mapping[Part, float]) -> None:
    for name, spent in seconds.items():
        with parts.part(name):
            clock.now += spent


def test_means_over_the_steps_since_last_asked() -> None:
    clock = SetClock()
    parts = StepParts(torch.device("cpu"), clock)
    spend(parts, clock, {"input": 1.0, "forward": 2.0, "backward": 4.0})
    spend(parts, clock, {"forward": 1.0, "backward": 1.0, "optimizer": 1.0})  # a second micro batch
    parts.end_step()
    clock.now += 100.0  # a validation
    spend(parts, clock, {"input": 1.0, "forward": 2.0, "backward": 4.0, "optimizer": 3.0})
    parts.end_step()
    assert parts.recent() == {
        "input_s": 1.0,
        "forward_s": 2.5,
        "backward_s": 4.5,
        "optimizer_s": 2.0,
        "input_stall_frac": pytest.approx(0.1),
    }


def test_the_next_window_begins_at_zero() -> None:
    clock = SetClock()
    parts = StepParts(torch.device("cpu"), clock)
    spend(parts, clock, {"input": 1.0})
    parts.end_step()
    parts.recent()
    spend(parts, clock, {"forward": 3.0})
    parts.end_step()
    recent = parts.recent()
    assert (recent["input_s"], recent["forward_s"], recent["input_stall_frac"]) == (0.0, 3.0, 0.0)


def test_without_steps_there_is_nothing() -> None:
    assert set(StepParts(torch.device("cpu")).recent().values()) == {0.0}


def test_what_fails_is_no_part_of_a_step() -> None:
    clock = SetClock()
    parts = StepParts(torch.device("cpu"), clock)

    def fail_late() -> None:
        clock.now += 5.0
        raise RuntimeError

    with pytest.raises(RuntimeError), parts.part("forward"):
        fail_late()
    assert parts.recent()["forward_s"] == 0.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_its_own_time_counts() -> None:
    parts = StepParts(torch.device("cuda"))
    matrix = torch.ones(4096, 4096, device="cuda")
    with parts.part("forward"):
        for _ in range(20):
            matrix = matrix @ matrix * 1e-4
    with parts.part("optimizer"):
        matrix.add_(1.0)
    parts.end_step()
    recent = parts.recent()
    assert recent["forward_s"] > recent["optimizer_s"] > 0
