"""Labels by vote of the nearest training documents: nothing is fitted, only nearness counts.

Shape letters: N training documents, Q test documents, K neighbours, L labels.
"""

import numpy as np

from model.retrieval import nearest
from tasks.evaluate.few_labels import Labels
from tasks.evaluate.vectors import Vectors, cosine_blocks


def vote_of_nearest(
    queries: Vectors, candidates: Vectors, labels_N: Labels, *, num_neighbours: int
) -> Labels:
    """The label that most of each query's nearest candidates have.

    Of labels with equally many votes, the one whose nearest candidate is nearest. Exact: all
    similarities are looked at, a block of queries at a time.
    """
    names_L, label_N = np.unique(labels_N, return_inverse=True)
    nearest_QK = nearest(cosine_blocks(queries, candidates), num_neighbours)
    votes_QK = label_N[nearest_QK]
    counts_QL = np.stack([np.bincount(row, minlength=len(names_L)) for row in votes_QK])
    counts_QK = np.take_along_axis(counts_QL, votes_QK, axis=1)
    # argmax is the first of the largest, and neighbours stand nearest first.
    winner_Q1 = counts_QK.argmax(axis=1)[:, None]
    elected_Q: Labels = names_L[np.take_along_axis(votes_QK, winner_Q1, axis=1)[:, 0]]
    return elected_Q
