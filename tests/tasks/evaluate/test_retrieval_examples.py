import numpy as np
import pytest

from tasks.evaluate.half_document import HalfDocuments
from tasks.evaluate.retrieval_examples import beginning, retrieval_examples, titles_for_points
from tasks.evaluate.vectors import NamedPair

# Query 0 is sure, query 1 is won by little, query 2 takes 0's answer, query 3 takes 1's.
SIMILARITY = np.array(
    [[0.9, 0.1, 0.0, 0.0], [0.2, 0.3, 0.0, 0.0], [0.8, 0.0, 0.1, 0.2], [0.0, 0.5, 0.0, 0.4]],
    dtype=np.float32,
)
PAIR = NamedPair("corpusmith", SIMILARITY, np.eye(4, dtype=np.float32))


def halves(labels: list[str] | None = None) -> HalfDocuments:
    return HalfDocuments(
        first_halves=[f"asked {number}" for number in range(4)],
        second_halves=[f"answer {number}" for number in range(4)],
        num_test_documents=4,
        num_too_short=0,
        num_recurring_lines=0,
        doc_ids=list("abcd"),
        titles=[f"title {number}" for number in range(4)],
        labels=labels,
    )


def test_widest_margins_come_first_on_both_sides() -> None:
    best, worst = retrieval_examples(PAIR, halves(), num=5)
    assert [example.title for example in best] == ["title 0", "title 1"]
    assert [example.title for example in worst] == ["title 2", "title 3"]
    assert (worst[0].rank, worst[1].rank) == (3, 2)
    assert (worst[0].rival_title, worst[0].rival) == ("title 0", "answer 0")
    assert [example.margin for example in (*best, *worst)] == pytest.approx([0.8, 0.1, -0.7, -0.1])
    assert (best[0].asked, best[0].answer, best[0].rank) == ("asked 0", "answer 0", 1)


def test_no_more_than_asked_for() -> None:
    best, worst = retrieval_examples(PAIR, halves(), num=1)
    assert [example.title for example in (*best, *worst)] == ["title 0", "title 2"]


def test_points_say_title_label_and_beginning() -> None:
    assert titles_for_points(halves())[0] == "title 0 · asked 0"
    assert titles_for_points(halves(list("wxyz")))[1] == "title 1 · x · asked 1"


def test_a_beginning_is_of_whole_words() -> None:
    assert beginning("one\n two", 20) == "one two"
    assert beginning("one two three", 9) == "one two …"
    assert beginning("x" * 30, 10) == "x" * 10 + " …"
