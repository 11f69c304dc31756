import pytest
import torch

from model.errors import TrainingError
from model.memory import memory_advice
from tests.model.training_runs import Run, training_rows


def room_for_everything() -> None:
    torch.empty(1 << 50)


def test_the_allocators_own_error_names_the_setting_to_lower() -> None:
    run = Run(settings={"num_checkpoints": 20})

    def want_too_much(*_: object) -> None:
        if run.training.state.step == 7:
            room_for_everything()

    run.model.head.register_forward_pre_hook(want_too_much)
    with pytest.raises(TrainingError) as caught:
        run.training.run()
    message = str(caught.value)
    assert message.startswith("out of memory (")
    assert "lower pretrain.micro_rows (now 8) or tokenize.row_tokens (now 32)" in message
    assert "\n" not in message
    assert run.checkpoints == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has"),
        MemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_other_allocators_are_known_too(error: Exception) -> None:
    complaint = pytest.raises(
        TrainingError, match=r"^out of memory \(.+\); lower pretrain\.micro_rows"
    )
    with complaint, memory_advice(training_rows()):
        raise error


def test_one_row_at_once_is_the_least() -> None:
    complaint = pytest.raises(TrainingError, match=r"micro_rows is 1 already: lower tokenize\.row")
    with complaint, memory_advice(training_rows(micro_rows=1)):
        room_for_everything()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes do not match"), memory_advice(training_rows()):
        raise RuntimeError("shapes do not match")
