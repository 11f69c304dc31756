import math

import numpy as np
import pytest
import torch

from model.errors import CorpusError
from model.masked_batches import MaskedBatch, ValidationRows
from model.validation import Validation, unigram_loss
from tests.model.training_runs import CONFIG, ROW_TOKENS, MadeUpRows, Run, validation_rows

CPU = torch.device("cpu")
TOKEN_BYTES_V = torch.arange(64) % 7 + 1


def validation(micro_rows: int = 8) -> Validation:
    return Validation(
        batches=list(validation_rows(micro_rows=micro_rows).batches()),
        token_bytes_V=TOKEN_BYTES_V,
        device=CPU,
        precision=torch.float32,
    )


@torch.no_grad()
def test_measures_are_those_of_their_definitions() -> None:
    model = Run().model
    bits, num_bytes, num_right, num_targets = 0.0, 0, 0, 0
    for batch in validation_rows(micro_rows=1).batches():
        logits_NV = model.logits(model.model(batch.batch)).flatten(0, 1).double()
        for position, target in zip(
            batch.positions_M.tolist(), batch.targets_M.tolist(), strict=True
        ):
            probabilities_V = logits_NV[position].softmax(0)
            bits -= math.log2(probabilities_V[target])
            num_bytes += int(TOKEN_BYTES_V[target])
            num_right += int(probabilities_V.argmax()) == target
            num_targets += 1
    measures = validation()(model)
    assert measures["validation_bits_per_byte"] == pytest.approx(bits / num_bytes, rel=1e-5)
    assert measures["validation_loss"] == pytest.approx(bits * math.log(2) / num_targets, rel=1e-5)
    assert measures["masked_accuracy"] == pytest.approx(num_right / num_targets)


def test_measures_do_not_depend_on_how_rows_are_batched() -> None:
    model = Run().model
    assert validation(3)(model) == pytest.approx(validation(40)(model), rel=1e-6)


def test_part_of_the_rows_is_a_fixed_choice() -> None:
    few = [
        batch.batch.token_ids_BL for batch in validation_rows(max_rows=5, micro_rows=1).batches()
    ]
    again = [
        batch.batch.token_ids_BL for batch in validation_rows(max_rows=5, micro_rows=1).batches()
    ]
    assert len(few) == 5
    assert all(torch.equal(a, b) for a, b in zip(few, again, strict=True))
    every = [batch.batch.token_ids_BL for batch in validation_rows(micro_rows=1).batches()]
    assert len(every) == 40
    assert all(any(torch.equal(a, b) for b in every) for a in few)


def test_frequencies_alone_give_the_unigram_loss() -> None:
    counts_V = np.array([0, 3, 5])
    targets_M = np.array([1, 2, 2, 0])
    expected = -np.log(np.array([4, 6, 6, 1]) / 11).mean()
    assert unigram_loss(counts_V, targets_M) == pytest.approx(expected)


def unknown_rows() -> ValidationRows:
    rows = MadeUpRows(3)
    for pieces in map(rows.row, range(3)):
        for piece in pieces:
            piece[:] = CONFIG.unk_id
    return ValidationRows(
        rows=rows,
        config=CONFIG,
        row_tokens=ROW_TOKENS,
        max_rows=3,
        micro_rows=2,
        mask_frac=0.15,
        seed=0,
    )


@pytest.mark.parametrize(
    ("batches", "token_bytes_V"),
    [
        (list(unknown_rows().batches()), TOKEN_BYTES_V),
        (list(validation_rows().batches()), torch.zeros_like(TOKEN_BYTES_V)),
        ([], TOKEN_BYTES_V),
    ],
    ids=["no targets", "no bytes", "no rows"],
)
def test_nothing_to_guess_is_refused(
    batches: list[MaskedBatch], token_bytes_V: torch.Tensor
) -> None:
    with pytest.raises(CorpusError, match=r"no text that the vocabulary knows.*give ingest more"):
        Validation(
            batches=batches, token_bytes_V=token_bytes_V, device=CPU, precision=torch.float32
        )
