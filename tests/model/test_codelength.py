"""Online code length: exact in simple cases, no better than shares on labels without meaning."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.codelength import (
    FRACTIONS,
    OnlineCode,
    compression,
    document_order,
    online_code,
    portion_ends,
)
from model.probes import shuffle_labels


def planted(num: int, *, strength: float, seed: int, num_classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, num_classes, (num,), generator=generator)
    features = torch.randn(num, 12, generator=generator)
    features[torch.arange(num), labels] += strength
    return features, labels


def coded(x: Tensor, labels: Tensor, *, seed: int, shuffled: bool = False) -> OnlineCode:
    """The code of 80 % of the examples, four to a document; the rest is for choosing."""
    if shuffled:
        labels = shuffle_labels(labels, seed=seed)
    cut = len(labels) * 4 // 5
    return online_code(
        x[:cut],
        labels[:cut],
        torch.arange(cut) // 4,
        (x[cut:], labels[cut:]),
        num_classes=int(labels.max()) + 1,
        seed=seed,
    )


def test_planted_property_compresses_and_shuffled_labels_do_not() -> None:
    x, labels = planted(1500, strength=4.0, seed=0)
    assert coded(x, labels, seed=0).compression > 4
    for seed in range(8):
        blank = coded(x, labels, seed=seed, shuffled=True)
        assert blank.compression <= 1.02
        assert blank.gain <= 1.02
        assert blank.compression > 0.9


def test_frequent_classes_alone_give_compression_but_no_gain() -> None:
    x, labels = planted(1500, strength=3.0, seed=1, num_classes=8)
    labels = torch.where(labels < 6, 0, labels - 5)
    blank = [coded(x, labels, seed=seed, shuffled=True) for seed in range(4)]
    assert min(one.compression for one in blank) > 1.2
    assert max(one.gain for one in blank) <= 1.02
    assert coded(x, labels, seed=0).gain > 1.5


def test_a_better_readable_property_is_shorter() -> None:
    lengths = [
        float(coded(*planted(800, strength=strength, seed=2), seed=0).bits_N.sum())
        for strength in (0.5, 1.5, 3.0)
    ]
    assert lengths == sorted(lengths, reverse=True)


def test_first_portion_is_uniform_and_bits_are_in_the_given_order() -> None:
    x, labels = planted(600, strength=4.0, seed=3)
    code = coded(x, labels, seed=5)
    order = document_order(torch.arange(480) // 4, seed=5)
    first = order[: int(code.ends_P[0])]
    uniform = torch.full((len(first),), math.log2(3), dtype=torch.float64)
    torch.testing.assert_close(code.bits_N[first], uniform)
    last = order[int(code.ends_P[-2]) :]
    assert float(code.bits_N[last].mean()) < 0.3
    assert len(code.strengths) == len(code.ends_P) - 1
    assert code.compression == pytest.approx(480 * math.log2(3) / float(code.bits_N.sum()))
    bits = torch.tensor(480 * math.log2(3) / 4)
    assert float(compression(bits, 480, 3)) == pytest.approx(4)


def test_the_seed_alone_decides() -> None:
    x, labels = planted(400, strength=1.0, seed=4)
    one, same, other = (coded(x, labels, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.bits_N, same.bits_N)
    assert not torch.equal(one.bits_N, other.bits_N)


def test_a_class_that_comes_late_costs_a_finite_number_of_bits() -> None:
    x, labels = planted(400, strength=1.0, seed=5, num_classes=2)
    labels[7] = 2
    code = coded(x, labels, seed=0)
    assert bool(code.bits_N.isfinite().all())
    assert code.compression > 0.5


def test_one_document_is_all_uniform() -> None:
    x, labels = planted(100, strength=3.0, seed=6)
    code = online_code(x, labels, torch.zeros(100).long(), (x, labels), num_classes=3, seed=0)
    assert code.compression == pytest.approx(1.0)
    assert code.strengths == ()


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    num_classes=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_portions_end_with_documents_and_are_large_enough(
    lengths: list[int], num_classes: int, seed: int
) -> None:
    document = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    order = document_order(document, seed=seed)
    assert torch.equal(order.sort().values, torch.arange(len(document)))
    document = document[order]
    labels = torch.arange(len(document)) * (seed + 1) // 3 % num_classes
    ends = portion_ends(document, labels, FRACTIONS)
    assert ends[-1] == len(document)
    assert ends == sorted(set(ends))
    for end in ends[:-1]:
        assert document[end - 1] != document[end]
    sizes = torch.tensor(ends).diff(prepend=torch.tensor([0]))
    assert len(ends) == 1 or int(sizes.min()) >= 20
    assert len(ends) == 1 or len(labels[: ends[0]].unique()) > 1


def test_portions_are_near_the_published_fractions() -> None:
    document = torch.arange(10_000) // 2
    ends = portion_ends(document, torch.arange(10_000) % 3, FRACTIONS)
    assert ends == [20, 40, 80, 160, 320, 626, 1250, 2500, 5000, 10_000]
