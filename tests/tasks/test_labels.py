"""Labels that group documents, and those that name them."""

import pytest

from tasks.labels import label_of, why_not_learnable


@pytest.mark.parametrize(("value", "label"), [(None, None), (3, "3"), (False, "False"), ("", "")])
def test_a_label_is_text_or_absent(value: object, label: str | None) -> None:
    assert label_of(value) == label


def test_five_documents_a_label_on_average_are_enough() -> None:
    assert why_not_learnable(["a"] * 9 + ["b"], "kind") is None
    assert "2 distinct values of kind over 9" in str(why_not_learnable(["a"] * 8 + ["b"], "kind"))
    assert "1 distinct values in kind" in str(why_not_learnable(["a"] * 9, "kind"))
    assert "0 distinct values" in str(why_not_learnable([], "kind"))
