"""Gaps in sequences: where they are, and that they are found again in a batch."""

import numpy as np
import torch

from model.config import EncoderConfig
from model.masked_sequences import gap_batches, mask_sequences

CONFIG = EncoderConfig(
    vocab_size=60, hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16
)
CPU = torch.device("cpu")


def sequences() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    lengths = (12, 1, 40, 7, 25, 1, 3)
    found = [generator.integers(5, 60, size=length).astype(np.uint16) for length in lengths]
    return [*found, np.full(4, CONFIG.unk_id, dtype=np.uint16)]


def test_each_sequence_is_masked_by_itself() -> None:
    own = sequences()
    masked = mask_sequences(own, CONFIG, mask_frac=0.15, seed=3)
    assert [len(one.positions_M) for one in masked] == [2, 1, 6, 1, 4, 1, 1, 0]
    for one, sequence in zip(masked, own, strict=True):
        assert (one.token_ids_L[one.positions_M] == CONFIG.mask_id).all()
        np.testing.assert_array_equal(one.targets_M, sequence[one.positions_M])
        restored = one.token_ids_L.copy()
        restored[one.positions_M] = one.targets_M
        np.testing.assert_array_equal(restored, sequence)
    alone = mask_sequences(own[:3], CONFIG, mask_frac=0.15, seed=3)
    np.testing.assert_array_equal(alone[2].positions_M, masked[2].positions_M)
    other = mask_sequences(own, CONFIG, mask_frac=0.15, seed=4)
    assert any((a.positions_M != b.positions_M).any() for a, b in zip(masked, other, strict=True))


def test_gaps_are_found_again_however_sequences_are_batched() -> None:
    masked = mask_sequences(sequences(), CONFIG, mask_frac=0.15, seed=3)
    for tokens_per_batch in (1, 30, 60, 10_000):
        seen = []
        for gaps in gap_batches(masked, CONFIG, tokens_per_batch=tokens_per_batch, device=CPU):
            ids_N = gaps.batch.token_ids_BL.flatten()
            assert gaps.batch.num_sequences == 1 or len(ids_N) <= 2 * tokens_per_batch
            assert (ids_N[gaps.positions_M] == CONFIG.mask_id).all()
            assert int((ids_N == CONFIG.mask_id).sum()) == len(gaps.positions_M)
            places = gaps.batch.positions_BL.flatten()[gaps.positions_M] - 1
            seen += zip(
                gaps.sequence_M.tolist(), places.tolist(), gaps.targets_M.tolist(), strict=True
            )
        assert seen == [
            (number, int(place), int(target))
            for number, one in enumerate(masked)
            for place, target in zip(one.positions_M, one.targets_M, strict=True)
        ]
