"""Equal requests have equal ids; any difference that changes the result changes the id."""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.errors import CorpusmithError
from tasks.store.identity import Identity, canonical_json, explain_difference, input_id_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
SETTINGS = st.dictionaries(TEXTS, VALUES, max_size=5)


def shuffled(value: Any, generator: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(item, generator)) for key, item in value.items()]
        generator.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return tuple(shuffled(item, generator) for item in value)
    return value


def identity(**changes: Any) -> Identity:
    fields: dict[str, Any] = {
        "stage": "pretrain",
        "version": 1,
        "settings": {"seed": 0, "optimizer": {"name": "muon", "betas": [0.9, 0.95]}},
        "inputs": {"vocab": "a" * 32},
        "sources": None,
    }
    return Identity(**(fields | changes))


@given(SETTINGS, st.randoms())
def test_order_of_keys_and_kind_of_sequence_do_not_matter(
    settings: dict[str, Any], generator: random.Random
) -> None:
    again = shuffled(settings, generator)
    assert identity(settings=again).input_id == identity(settings=settings).input_id


@given(SETTINGS, TEXTS, VALUES)
def test_any_setting_changes_the_id(settings: dict[str, Any], key: str, value: Any) -> None:
    changed = settings | {key: value}
    assume(canonical_json(changed) != canonical_json(settings))
    old, new = identity(settings=settings), identity(settings=changed)
    assert new.input_id != old.input_id
    assert explain_difference(old, new)


@given(SETTINGS)
def test_canonical_json_is_json_of_the_same_value(settings: dict[str, Any]) -> None:
    assert json.loads(canonical_json(settings)) == settings


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "probe"},
        {"version": 2},
        {"inputs": {"vocab": "b" * 32}},
        {"inputs": {}},
        {"sources": [["a.txt", "0" * 64]]},
    ],
)
def test_every_part_counts(change: dict[str, Any]) -> None:
    assert identity(**change).input_id != identity().input_id


def test_ids_are_the_same_in_every_version_of_this_project() -> None:
    # Golden: if this fails, every workspace there is would be computed anew.
    assert identity().input_id == "3f65b13dce1eda34bc8f887abf2b492c"
    fields = identity().model_dump()
    assert input_id_of(**fields) == identity().input_id


@pytest.mark.parametrize(
    "value",
    [math.nan, [math.inf], {"a": -math.inf}, {1: "a"}, {"a": b"bytes"}, "\ud800", {"\udcff": 1}],
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(CorpusmithError):
        canonical_json(value)


def test_the_refusal_names_the_place() -> None:
    with pytest.raises(CorpusmithError, match=r"value\.a\[1\]\.b"):
        canonical_json({"a": [0, {"b": math.nan}]})


def test_an_integer_is_not_a_float_nor_a_truth() -> None:
    assert len({canonical_json(value) for value in (1, 1.0, True, "1")}) == 4


def test_the_explanation_names_settings_inputs_and_version() -> None:
    settings = {"seed": 1, "optimizer": {"name": "muon", "betas": [0.9, 0.99]}, "size": "tiny"}
    new = identity(version=2, settings=settings, inputs={"vocab": "b" * 32, "ingest": "c" * 32})
    assert explain_difference(identity(), new) == [
        "pretrain: stage version 1 -> 2",
        "pretrain.optimizer.betas: [0.9,0.95] -> [0.9,0.99]",
        "pretrain.seed: 0 -> 1",
        'pretrain.size: not set -> "tiny"',
        "pretrain: reads ingest now",
        "pretrain: vocab ran with other settings or inputs",
    ]
    assert explain_difference(new, new) == []


def source_reasons(old: Any, new: Any) -> list[str]:
    def ingest(sources: Any) -> Identity:
        return Identity(stage="ingest", version=1, settings={}, inputs={}, sources=sources)

    return explain_difference(ingest(old), ingest(new))


def test_the_explanation_names_source_files() -> None:
    old = [["a.txt", "0" * 64], ["b.txt", "1" * 64], ["d.txt", "4" * 64]]
    new = [["a.txt", "2" * 64], ["c.txt", "3" * 64], ["d.txt", "unreadable"]]
    assert source_reasons(old, new) == [
        "ingest: source file a.txt changed",
        "ingest: source file b.txt is gone",
        "ingest: source file c.txt is new",
        "ingest: source file d.txt changed",
    ]


def test_the_explanation_of_many_files_stays_short() -> None:
    reasons = source_reasons([], [[f"{i:03d}.txt", "0" * 64] for i in range(100)])
    assert len(reasons) == 6
    assert reasons[-1] == "ingest: 95 more source files changed"


def test_sources_that_are_no_files_are_explained_too() -> None:
    assert source_reasons({"python": "3.11"}, {"python": "3.12"}) == [
        'ingest: sources.python: "3.11" -> "3.12"'
    ]
