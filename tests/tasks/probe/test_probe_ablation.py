"""Rows of removed heads: a planted one is found, and the sample is as small as asked."""

import pytest
import torch

from model.mlm import MaskedLanguageModel
from tasks.probe.ablation import ablate_each_head, first_documents
from tasks.probe.masked_loss import masked_loss_rows
from tasks.probe.sample import Sample
from tasks.probe.table import select
from tests.tasks.probe.encoders import CONFIG
from tests.tasks.probe.masked_models import known_sample, plain_model, sample

PLANTED = (2, 1)


@torch.no_grad()
def planted_model() -> MaskedLanguageModel:
    """Only one head says anything."""
    model = plain_model()
    size = CONFIG.head_size
    for number, layer in enumerate(model.model.layers, start=1):
        for head in range(CONFIG.num_heads):
            if (number, head) != PLANTED:
                layer.attn.Wo.weight[:, head * size : (head + 1) * size] = 0
    model.model.layers[PLANTED[0] - 1].attn.Wo.weight.mul_(20)
    return model


def test_a_planted_head_is_found_and_no_other() -> None:
    model = planted_model()
    found = ablate_each_head(model, known_sample(model, sample()), num_tokens=10_000)
    by_place = {(row.layer, row.head): row for row in found.rows}
    assert list(by_place) == [(k, h) for k in (1, 2, 3) for h in (0, 1)]
    planted = by_place.pop(PLANTED)
    assert planted.low > 0.1
    assert all(abs(row.value) < 1e-4 for row in by_place.values())


def test_differences_are_paired() -> None:
    """The interval of a difference is much narrower than that of the loss it is taken from."""
    model, drawn = plain_model(scale=3.0), sample()
    found = ablate_each_head(model, drawn, num_tokens=10_000)
    whole = select(masked_loss_rows(model, drawn), "masked_loss")[-1]
    assert found.loss == pytest.approx(whole.value, abs=1e-5)
    for row in found.rows:
        assert row.low <= row.value <= row.high
        assert row.high - row.low < 0.5 * (whole.high - whole.low)


def test_what_it_cost_is_said() -> None:
    drawn = sample()
    done: list[tuple[int, int]] = []
    found = ablate_each_head(
        plain_model(),
        drawn,
        num_tokens=200,
        prefix="random_",
        seed=4,
        tokens_per_batch=100,
        on_batch=lambda *counts: done.append(counts),
    )
    assert found.num_tokens <= 200 < drawn.num_tokens
    assert found.num_documents == len(first_documents(drawn, 200).documents)
    assert found.num_gaps >= 0.1 * found.num_tokens
    assert found.num_passes == (2 * 6 + 3) / 3
    assert found.seconds > 0
    assert done[-1] == (found.num_documents, found.num_documents)
    assert {(row.measure, row.seed) for row in found.rows} == {("random_ablation_loss", 4)}


def test_the_bound_is_kept_but_for_two_documents() -> None:
    drawn = sample()
    few = first_documents(drawn, 1)
    assert len(few.documents) == few.num_groups == 2
    some = first_documents(drawn, 150)
    assert some.num_tokens <= 150 < some.num_tokens + len(drawn.documents[len(some.documents)])
    everything = first_documents(drawn, 10**6)
    assert everything == Sample(drawn.documents, 10)
