"""Where the time of a step goes: waiting for input, forward, backward, optimizer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

Part = Literal["input", "forward", "backward", "optimizer"]
PARTS: tuple[Part, ...] = get_args(Part)


class StepParts:
    """Seconds of each part of the steps since they were last asked for.

    On a GPU the parts that it computes are measured by events in its own queue, which are read
    when the times are asked for: no step waits for them. The wait for input is the time this
    process waits; the GPU may still be busy meanwhile, so it loses that much at most.

    Args:
        device: where the steps are computed.
        clock: monotonic seconds.
    """

    def __init__(
        self, device: torch.device, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._on_gpu = device.type == "cuda"
        self._clock = clock
        self._start_anew()

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """What is computed in here belongs to part `name`; a step may enter a part repeatedly."""
        if self._on_gpu and name != "input":
            start, end = _event(), _event()
            start.record()
            yield
            end.record()
            self._events.append((name, start, end))
        else:
            started = self._clock()
            yield
            self._seconds[name] += self._clock() - started

    def end_step(self) -> None:
        """A step is done."""
        self._num_steps += 1

    def recent(self) -> dict[str, float]:
        """Mean seconds a step of each part (``forward_s`` …) and ``input_stall_frac``.

        The latter is the share of the wait for input in the sum of all parts. Counts from when
        this was last asked; on a GPU it waits for the last step to be computed.
        """
        self._resolve_events()
        num_steps, total = max(self._num_steps, 1), sum(self._seconds.values())
        times = {f"{name}_s": self._seconds[name] / num_steps for name in PARTS}
        stall = self._seconds["input"] / total if total else 0.0
        self._start_anew()
        return {**times, "input_stall_frac": stall}

    def _resolve_events(self) -> None:
        if self._events:
            self._events[-1][2].synchronize()
        for name, start, end in self._events:
            self._seconds[name] += start.elapsed_time(end) / 1000.0

    def _start_anew(self) -> None:
        self._num_steps = 0
        self._seconds: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self._events: list[tuple[Part, torch.cuda.Event, torch.cuda.Event]] = []


def _event() -> torch.cuda.Event:
    new_event: Callable[..., torch.cuda.Event] = torch.cuda.Event
    return new_event(enable_timing=True)
