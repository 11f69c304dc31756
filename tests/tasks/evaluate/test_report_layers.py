"""What the page says of the layers."""

import pytest

from model.retrieval import MeanEstimate
from tasks.evaluate.report_layers import layer_section, layer_sentence
from tasks.evaluate.scores import Difference, Score
from tasks.report.page import Figure

TASKS = ("half_document", "hard_half_document")


def differences(**estimates: tuple[float, float, float]) -> list[Difference]:
    """The embedder minus each, on both tasks."""
    return [
        Difference("corpusmith", name, task, "recall_at_1", MeanEstimate(*numbers, n=200))
        for task in TASKS
        for name, numbers in estimates.items()
    ]


def smallest(*names: str) -> dict[tuple[str, str, str], float]:
    return {(task, "recall_at_1", name): 0.041 for task in TASKS for name in names}


@pytest.mark.parametrize(
    ("of_last", "worth"),
    [
        ((0.021, 0.004, 0.038), "better by 2.1 points (0.4 to 3.8)."),
        (
            (0.005, -0.011, 0.023),
            "not distinguishable (\u22121.1 to 2.3 points); 200 documents can show 4.1 points.",
        ),
    ],
)
def test_a_chosen_layer_is_set_beside_the_last(
    of_last: tuple[float, float, float], worth: str
) -> None:
    found = differences(tfidf=(0.5, 0.4, 0.6), layer_0=(0.2, 0.1, 0.3), layer_2=of_last)
    assert layer_sentence(found, smallest("layer_0", "layer_2")) == (
        "The embedder reads its vectors off layer 1 of 2, which validation documents chose; "
        f"against the last layer, in recall@1 on test documents, it is {worth}"
    )


def test_the_last_layer_is_named_as_such() -> None:
    found = differences(layer_0=(0.2, 0.1, 0.3), layer_1=(0.0, -0.1, 0.1))
    assert layer_sentence(found, {}) == (
        "The embedder reads its vectors off the last of its 2 layers."
    )
    only = differences(layer_0=(0.2, 0.1, 0.3))
    assert layer_sentence(only, {}) == "The embedder reads its vectors off its one layer."


def test_the_section_draws_all_layers_in_order_and_says_which_are_told_apart() -> None:
    found = differences(tfidf=(0.5, 0.4, 0.6), layer_0=(0.2, 0.1, 0.3), layer_2=(0.01, -0.02, 0.03))
    values = {"corpusmith": 0.75, "tfidf": 0.25, "layer_0": 0.5, "layer_2": 0.625}
    scores = [
        Score(name, task, "recall_at_1", MeanEstimate(value, value - 0.1, value + 0.1, 200))
        for task in TASKS
        for name, value in values.items()
    ]
    section = layer_section(scores, found, smallest("layer_0", "layer_2"))
    figure = section.blocks[0]
    assert isinstance(figure, Figure)
    assert figure.says == (
        "In recall@1 the embedder is ahead of layer 0; not told apart from layer 2."
    )
    places = [figure.svg.index(f"layer {layer}  ") for layer in (0, 1, 2)]
    assert len(set(places)) == 3
    assert "0.750" in figure.svg
    assert "TF-IDF" not in figure.svg
