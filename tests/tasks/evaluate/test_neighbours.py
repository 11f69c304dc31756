"""The vote of the nearest, against a plain count."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from tasks.evaluate.neighbours import vote_of_nearest

small = st.integers(-2, 2).map(float)


def plain_vote(similarities: list[float], labels: list[str], k: int) -> str:
    order = sorted(range(len(labels)), key=lambda one: (-similarities[one], one))[:k]
    voters = [labels[one] for one in order]
    return max(voters, key=lambda label: (voters.count(label), -voters.index(label)))


@given(
    arrays(np.float32, (4, 3), elements=small),
    arrays(np.float32, (7, 3), elements=small),
    st.lists(st.sampled_from("xyz"), min_size=7, max_size=7),
    st.integers(1, 9),
)
def test_the_vote_is_that_of_a_plain_count(
    queries: np.ndarray, candidates: np.ndarray, labels: list[str], k: int
) -> None:
    found = vote_of_nearest(queries, candidates, np.array(labels), num_neighbours=k)
    similarities = (queries @ candidates.T).tolist()
    assert found.tolist() == [plain_vote(row, labels, k) for row in similarities]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_of_equal_votes_the_nearer_wins(form: Any) -> None:
    candidates = form(np.array([[0.9], [0.8], [1.0], [0.1]], np.float32))
    labels = np.array(["a", "b", "b", "a"])
    query = form(np.ones((1, 1), np.float32))
    assert vote_of_nearest(query, candidates, labels, num_neighbours=1).tolist() == ["b"]
    assert vote_of_nearest(query, candidates, labels, num_neighbours=2).tolist() == ["b"]
    assert vote_of_nearest(query, candidates, labels, num_neighbours=4).tolist() == ["b"]
    assert vote_of_nearest(-1 * query, candidates, labels, num_neighbours=4).tolist() == ["a"]
