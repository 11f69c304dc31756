"""What to do when memory does not suffice for training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model.errors import TrainingError
from model.masked_batches import TrainingRows

# What allocators say whose errors have no class of their own.
COMPLAINTS = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextmanager
def memory_advice(rows: TrainingRows) -> Iterator[None]:
    """An allocation that fails in here ends with advice on the setting to lower.

    Raises:
        TrainingError: memory did not suffice; it names the rows computed at once.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(f"out of memory ({_first_line(error)}); {_advice(rows)}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is of an allocator that found no room, on a GPU or the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(complaint in str(error) for complaint in COMPLAINTS)


def _advice(rows: TrainingRows) -> str:
    row_tokens = f"tokenize.row_tokens (now {rows.row_tokens})"
    if rows.micro_rows == 1:
        return f"pretrain.micro_rows is 1 already: lower {row_tokens} or the encoder's sizes"
    return f"lower pretrain.micro_rows (now {rows.micro_rows}) or {row_tokens}"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
