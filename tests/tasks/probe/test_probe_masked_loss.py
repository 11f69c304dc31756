"""Rows of the masked-token loss by layer, and of guessing by frequency."""

import math

import numpy as np
import pytest
import torch

from model.layer_loss import guess_from_layers
from model.masked_sequences import mask_sequences
from model.validation import unigram_loss
from tasks.probe.masked_loss import count_tokens, masked_loss_rows, unigram_rows
from tasks.probe.table import select
from tests.tasks.probe.encoders import CONFIG, rising_documents
from tests.tasks.probe.masked_models import known_sample, plain_model, sample


def test_every_layer_has_its_rows_with_the_value_inside() -> None:
    rows = masked_loss_rows(plain_model(), sample())
    for measure in ("masked_loss", "masked_accuracy"):
        found = select(rows, measure, split="validation+test")
        assert [row.layer for row in found] == [0, 1, 2, 3]
        assert all(row.low <= row.value <= row.high and row.head is None for row in found)
    assert all(row.low < row.value < row.high for row in select(rows, "masked_loss"))
    named = masked_loss_rows(plain_model(), sample(), prefix="random_", seed=5)
    assert {(row.measure, row.seed) for row in named} == {
        ("random_masked_loss", 5),
        ("random_masked_accuracy", 5),
    }


def test_values_are_means_over_gaps_not_over_documents() -> None:
    model, drawn = plain_model(), sample()
    masked = mask_sequences(drawn.documents, CONFIG, mask_frac=0.15, seed=0)
    guesses = guess_from_layers(model, masked)
    means = guesses.loss_SK.sum(0) / guesses.num_gaps_S.sum()
    rows = select(masked_loss_rows(model, drawn), "masked_loss")
    np.testing.assert_allclose([row.value for row in rows], means, atol=1e-6)


def test_a_model_that_knows_the_answers_is_right_at_the_top_alone() -> None:
    model = plain_model()
    found = masked_loss_rows(model, known_sample(model, sample()))
    accuracy = [row.value for row in select(found, "masked_accuracy")]
    assert accuracy[-1] > 0.95  # the sample has no special tokens, the model may guess some
    assert max(accuracy[:-1]) < 0.5
    loss = [row.value for row in select(found, "masked_loss")]
    assert loss[-1] < min(loss[:-1])


def test_more_documents_narrow_the_interval() -> None:
    def width(num_documents: int) -> float:
        row = select(masked_loss_rows(plain_model(), sample(num_documents)), "masked_loss")[-1]
        return row.high - row.low

    assert width(75) < width(10)


def test_frequencies_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [*rising_documents(7, 0), np.array([7, 7, 299], np.uint16)]
    counts = count_tokens(documents, CONFIG.vocab_size)
    assert counts.sum() == sum(map(len, documents))
    assert counts[7] >= 2
    monkeypatch.setattr("tasks.probe.masked_loss._DOCUMENTS_AT_ONCE", 3)
    np.testing.assert_array_equal(count_tokens(documents, CONFIG.vocab_size), counts)
    assert count_tokens([], 9).tolist() == [0] * 9


def test_guessing_by_frequency_is_pretrainings_own_measure() -> None:
    drawn, counts = sample(), count_tokens(rising_documents(50, 0), CONFIG.vocab_size)
    loss, accuracy = unigram_rows(counts, drawn, CONFIG)
    masked = mask_sequences(drawn.documents, CONFIG, mask_frac=0.15, seed=0)
    targets = np.concatenate([one.targets_M for one in masked])
    assert (loss.measure, loss.layer) == ("unigram_masked_loss", 0)
    assert loss.value == pytest.approx(unigram_loss(counts, targets))
    assert loss.low < loss.value < loss.high
    assert accuracy.value == pytest.approx(float(np.mean(targets == counts.argmax())))
    even = unigram_rows(np.zeros(CONFIG.vocab_size, np.int64), drawn, CONFIG)[0]
    assert even.value == pytest.approx(math.log(CONFIG.vocab_size))


def test_fresh_weights_are_no_better_than_chance() -> None:
    model = plain_model(scale=1.0)
    with torch.no_grad():
        model.decoder.weight.mul_(0.01)
    top = select(masked_loss_rows(model, sample()), "masked_loss")[-1]
    assert top.value == pytest.approx(math.log(CONFIG.vocab_size), abs=0.05)
