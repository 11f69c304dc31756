"""Sentences say who is better, and only when the paired interval bears it."""

import pytest

from model.retrieval import MeanEstimate
from tasks.evaluate.scores import Difference
from tasks.evaluate.verdicts import points_sentence, verdict_sentence


def difference(
    value: float, low: float, high: float, *, n: int = 100, baseline: str = "tfidf"
) -> Difference:
    estimate = MeanEstimate(value, low, high, n)
    return Difference("corpusmith", baseline, "half_document", "recall_at_1", estimate)


def test_sentences_group_the_systems_and_give_margins_of_the_winner() -> None:
    found = [
        difference(0.5, 0.4, 0.6, baseline="untrained"),
        difference(-0.25, -0.375, -0.125, baseline="tfidf"),
        difference(0.125, 0.1, 0.15, baseline="word2vec"),
        difference(-0.01, -0.05, 0.02, baseline="corpusmith_dim_64"),
    ]
    assert verdict_sentence(found, "recall@1") == (
        "In recall@1 the embedder is behind TF-IDF by 0.250 (0.125 to 0.375); "
        "ahead of random weights by 0.500 (0.400 to 0.600), "
        "mean Word2Vec by 0.125 (0.100 to 0.150); "
        "not told apart from embedder, 64 dim (\u22120.050 to 0.020). "
        "In brackets: paired 95 % intervals of the difference."
    )


def test_few_queries_decide_nothing_even_when_all_agree() -> None:
    found = [difference(1.0, 1.0, 1.0, n=29)]
    assert verdict_sentence(found, "recall@1").startswith(
        "In recall@1 the embedder is on too few documents to be told from TF-IDF"
    )


@pytest.mark.parametrize(
    ("found", "smallest", "sentence"),
    [
        (difference(0.021, 0.004, 0.038), 0.024, "better by 2.1 points (0.4 to 3.8)"),
        (difference(-0.021, -0.038, -0.004), 0.024, "worse by 2.1 points (0.4 to 3.8)"),
        (
            difference(0.006, -0.011, 0.023, n=1312),
            0.041,
            "not distinguishable (\u22121.1 to 2.3 points); 1,312 documents can show 4.1 points",
        ),
        (
            difference(0.0, 0.0, 0.0),
            float("nan"),
            "not distinguishable (0.0 to 0.0 points); 100 documents all came out alike, which does "
            "not tell what they can show",
        ),
        (
            difference(1.0, 1.0, 1.0, n=29),
            0.1,
            "not distinguishable: 29 documents are too few, at least 30 are needed",
        ),
    ],
)
def test_points_are_said_where_the_interval_bears_them_else_what_would_show(
    found: Difference, smallest: float, sentence: str
) -> None:
    assert points_sentence(found.estimate, smallest) == sentence
