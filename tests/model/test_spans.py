import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.spans import SpanSampler, distinct_documents, least_tokens


def sampler(lengths: list[int], **settings: int) -> SpanSampler:
    asked = {"documents_per_batch": 2, "span_min_tokens": 4, "span_max_tokens": 16, "seed": 0}
    return SpanSampler(np.array(lengths), **{**asked, **settings})


@given(
    lengths=st.lists(st.integers(9, 400), min_size=2, max_size=12),
    longest=st.integers(5, 200),
    step=st.integers(0, 2**40),
    seed=st.integers(0, 2**64 - 1),
)
def test_spans_are_disjoint_unequal_bounded_and_inside(
    lengths: list[int], longest: int, step: int, seed: int
) -> None:
    pairs = sampler(lengths, span_max_tokens=longest, seed=seed).pairs(step)
    first_stops = pairs.first_starts_P + pairs.first_lengths_P
    second_stops = pairs.second_starts_P + pairs.second_lengths_P
    assert (pairs.first_starts_P >= 0).all()
    assert (first_stops <= pairs.second_starts_P).all()
    assert (second_stops <= np.array(lengths)[pairs.documents_P]).all()
    assert (pairs.first_lengths_P != pairs.second_lengths_P).all()
    for lengths_P in (pairs.first_lengths_P, pairs.second_lengths_P):
        assert (lengths_P >= 4).all()
        assert (lengths_P <= longest).all()


def test_a_step_depends_on_seed_and_number_only() -> None:
    lengths = list(range(20, 60))
    in_order = [sampler(lengths).pairs(step) for step in range(60)]
    one = sampler(lengths)
    for step in (59, 3, 40, 3):
        for name, values in vars(one.pairs(step)).items():
            assert np.array_equal(values, vars(in_order[step])[name])
    other = sampler(lengths, seed=1).pairs(3)
    assert not np.array_equal(other.documents_P, in_order[3].documents_P)
    # The same document gets other spans in another epoch.
    assert not np.array_equal(
        np.sort(in_order[0].first_lengths_P), np.sort(in_order[20].first_lengths_P)
    )


def test_an_epoch_visits_documents_once_and_a_batch_never_repeats_one() -> None:
    draws = sampler([20] * 11, documents_per_batch=4)
    for epoch in range(20):
        batches = [draws.pairs(2 * epoch + index).documents_P for index in range(2)]
        visited = np.concatenate(batches)
        assert len(np.unique(visited)) == 8
    counts = np.bincount(
        np.concatenate([draws.pairs(step).documents_P for step in range(400)]), minlength=11
    )
    assert counts.min() > 0.6 * counts.mean()


def test_spans_reach_every_token_and_every_length() -> None:
    draws = sampler([40, 40], span_max_tokens=16)
    reached = np.zeros(40, dtype=int)
    lengths = set()
    for step in range(600):
        pairs = draws.pairs(step)
        for start, length in zip(pairs.first_starts_P, pairs.first_lengths_P, strict=True):
            reached[start : start + length] += 1
            lengths.add(int(length))
        for start, length in zip(pairs.second_starts_P, pairs.second_lengths_P, strict=True):
            reached[start : start + length] += 1
    assert reached.min() > 0
    assert lengths == set(range(4, 17))


def test_cut_gives_the_tokens_of_the_spans() -> None:
    documents = [np.arange(100 * index, 100 * index + 50) for index in range(3)]
    pairs = sampler([50] * 3).pairs(5)
    firsts, seconds = pairs.cut(documents)
    for place, document in enumerate(pairs.documents_P):
        assert firsts[place][0] == 100 * document + pairs.first_starts_P[place]
        assert len(firsts[place]) == pairs.first_lengths_P[place]
        assert seconds[place][-1] < 100 * document + 50
        assert len(seconds[place]) == pairs.second_lengths_P[place]


@pytest.mark.parametrize(
    ("lengths", "settings"),
    [
        ([20, 8], {}),
        ([20, 20], {"documents_per_batch": 3}),
        ([20, 20], {"documents_per_batch": 1}),
        ([20, 20], {"span_max_tokens": 4}),
    ],
)
def test_what_cannot_be_sampled_is_refused(lengths: list[int], settings: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        sampler(lengths, **settings)


def test_shortest_document_that_has_two_spans() -> None:
    pairs = sampler([least_tokens(4)] * 2).pairs(0)
    assert sorted((pairs.first_lengths_P[0], pairs.second_lengths_P[0])) == [4, 5]


def test_copies_are_found_whatever_their_type() -> None:
    one, two = np.array([1, 2, 3], dtype=np.uint16), np.array([1, 2], dtype=np.uint16)
    documents = [one, two, one.astype(np.int32), two.copy(), np.array([3, 2, 1], np.int32)]
    assert distinct_documents(documents).tolist() == [0, 1, 4]
