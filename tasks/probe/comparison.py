"""Where trained weights stand beside random ones, judged by whether intervals overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.probe.table import Row, select


def standing(trained: Row, other: Row, name: str = "random weights") -> str:
    """Whether a number of the trained encoder is apart from that of another, such as random
    weights."""
    if trained.low > other.high:
        return f"above {name}"
    if trained.high < other.low:
        return f"below {name}"
    return f"not distinguishable from {name}"


@dataclass(frozen=True)
class Comparison:
    """Test accuracy of three systems on one task, each at its own best validation layer.

    Attributes:
        task: such as ``bigram_shift``.
        trained: the encoder's row.
        random: that of the same architecture with random weights.
        control: the encoder's with shuffled labels.
        static: that of Word2Vec, which has one layer.
        chance: the share that guessing gets right.
    """

    task: str
    trained: Row
    random: Row
    control: Row
    static: Row
    chance: float

    @property
    def standing(self) -> str:
        """The trained encoder beside random weights."""
        return standing(self.trained, self.random)

    @property
    def selectivity(self) -> float:
        """Accuracy above that on shuffled labels (Hewitt and Liang 2019)."""
        return self.trained.value - self.control.value


def compare(rows: Sequence[Row], task: str, chance: float) -> Comparison:
    """The comparison of a task out of the rows of all layers."""
    measure = f"{task}_accuracy"
    return Comparison(
        task,
        _at_chosen_layer(rows, measure),
        _at_chosen_layer(rows, f"random_{measure}"),
        _at_chosen_layer(rows, f"control_{measure}"),
        _at_chosen_layer(rows, f"word2vec_{measure}"),
        chance,
    )


def _at_chosen_layer(rows: Sequence[Row], measure: str) -> Row:
    """The test row of the layer that did best on validation; of equals the lowest."""
    chosen = max(select(rows, measure, split="validation"), key=lambda row: row.value)
    return select(rows, measure, split="test")[chosen.layer]
