"""Batches of sentences: every word once, padding marked, no batch too large."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.sentence_batches import sentence_batches


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=60),
    batch_words=st.integers(1, 300),
)
def test_every_word_is_laid_out_once(lengths: list[int], batch_words: int) -> None:
    length = torch.tensor(lengths)
    owner = torch.arange(len(lengths)).repeat_interleave(length)
    number = torch.cat([torch.arange(n) for n in lengths])
    batches = sentence_batches(length, batch_words=batch_words)
    seen = torch.cat([batch.word_SW[batch.is_word_SW] for batch in batches])
    assert torch.equal(seen.sort().values, torch.arange(len(owner)))
    for batch in batches:
        rows = batch.laid_out(owner + 1)
        assert torch.equal(rows > 0, batch.is_word_SW)
        assert torch.equal(rows[:, 0] - 1, batch.sentence_S)
        places = torch.arange(rows.shape[1]).expand_as(rows)
        assert torch.equal(batch.laid_out(number), places * batch.is_word_SW)
        assert bool(batch.is_word_SW[-1].all())
        assert rows.numel() <= batch_words or len(rows) == 1


def test_vectors_are_padded_with_zeros() -> None:
    values = torch.arange(1, 13).view(4, 3).float()
    (batch,) = sentence_batches(torch.tensor([3, 1]))
    expected = torch.stack([torch.cat([values[3:], torch.zeros(2, 3)]), values[:3]])
    assert torch.equal(batch.laid_out(values), expected)
