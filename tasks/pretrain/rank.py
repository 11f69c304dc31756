"""One of the processes that train together: ``torchrun … -m tasks.pretrain.rank REQUEST [FOLDER]``.

Those of one machine find each other by files in the folder, those of several by an address.

The first one speaks for all, through the file of events that the request names. Errors that
would come again end the run: they are written there, and every process that finds one ends.
Any other failure is left to torchrun, which starts all processes again.
"""

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from model.errors import CorpusmithError
from model.ranks import joined
from model.training import TrainingInterrupted
from tasks.pretrain.events import EventWriter, Silent, ended_by_error
from tasks.pretrain.request import LaunchRequest, threads_per_process
from tasks.pretrain.run import prepare
from tasks.runtime.devices import pick_device
from tasks.runtime.memory import keep_freed_memory
from tasks.runtime.stopping import deferred_termination
from tasks.runtime.tether import starter_is_gone
from tasks.runtime.threads import hold_threads_steady

END_GRACE_S = 8.0  # after the stage's process asks for an end or is gone


def main(arguments: Sequence[str]) -> int:
    """Train as one rank; 0 where starting again would not help, whether it went well or not."""
    gone = starter_is_gone(END_GRACE_S)
    request = LaunchRequest.read(Path(arguments[0]))
    events = EventWriter(request.events)
    if gone.is_set() or ended_by_error(request.events):
        return 0
    with ExitStack() as stack:  # what went wrong is told before the ranks take leave
        try:
            _train(request, _meeting(arguments[1:]), events, gone, stack)
        except TrainingInterrupted:
            pass
        except CorpusmithError as error:
            events.error(error)
        except Exception as error:
            events.failure(int(os.environ["RANK"]), error)
            raise
    return 0


def _meeting(folders: Sequence[str]) -> Path | None:
    """A file of this start's own: ranks that start again must not find those before them."""
    start = os.environ["TORCHELASTIC_RESTART_COUNT"]
    return next((Path(folder) / f"ranks-{start}" for folder in folders), None)


def _train(
    request: LaunchRequest,
    meeting: Path | None,
    events: EventWriter,
    gone: threading.Event,
    stack: ExitStack,
) -> None:
    torch.set_num_threads(threads_per_process(int(os.environ["LOCAL_WORLD_SIZE"])))
    hold_threads_steady()
    device = _device(request)
    ranks = stack.enter_context(joined(device, meeting))
    if device.type == "cpu":
        stack.enter_context(keep_freed_memory())
    termination = stack.enter_context(deferred_termination())
    report = events if ranks.is_first else Silent()
    pretraining = prepare(request.context(report), device=device, ranks=ranks)
    training = pretraining.training(lambda: termination.has_come() or gone.is_set())
    if ranks.is_first:
        events.started(training.resumed_from_step, int(os.environ["TORCHELASTIC_RESTART_COUNT"]))
    pretraining.announce(training)
    training.run()
    if ranks.is_first:
        speed = training.tokens_per_second
        events.finished({"tokens_per_second": speed} if speed else {})


def _device(request: LaunchRequest) -> torch.device:
    """This process's own device: the GPU of its number on this machine, or the CPU."""
    device = pick_device(request.settings.device)
    if device.type == "cpu":
        return device
    device = pick_device(f"cuda:{os.environ['LOCAL_RANK']}")
    torch.cuda.set_device(device)
    return device


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
