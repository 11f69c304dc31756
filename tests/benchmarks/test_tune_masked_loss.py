"""The benchmark of the masked loss: where its windows lie, and what its table says."""

import numpy as np

from tests.benchmarks.tune_masked_loss import (
    WINDOW_TOKENS,
    WINDOWS_PER_UPDATE,
    draw_windows,
    table,
)


def test_windows_are_pieces_of_the_documents_and_those_of_the_step() -> None:
    documents = [np.arange(10), np.arange(1000, 2000), np.arange(3000, 3000 + WINDOW_TOKENS)]
    windows = draw_windows(documents, 3)
    assert len(windows) == WINDOWS_PER_UPDATE
    for window in windows:
        assert 10 <= len(window) <= WINDOW_TOKENS
        assert (np.diff(window) == 1).all()
    again, next_step = draw_windows(documents, 3), draw_windows(documents, 4)
    assert all(np.array_equal(a, b) for a, b in zip(windows, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(windows, next_step, strict=True))


def test_the_table_has_medians_and_leaves_out_what_was_not_measured() -> None:
    runs = [
        {"half_document": each, "hard_half_document": 0.1, "best_step": 4.0}
        for each in (0.5, 0.7, 0.6)
    ]
    [_, _, line] = table({"0": runs})
    assert line == (
        "| 0 | 0.600 (0.500 to 0.700) | 0.100 (0.100 to 0.100) | 4.000 (4.000 to 4.000) |  |"
    )
