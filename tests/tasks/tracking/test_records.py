"""Records survive their trip through a file."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tracking.records import Measured, RunStarted, Sent, Tagged, decode, encode

text = st.text(max_size=30)


@given(st.dictionaries(text, st.floats()), st.integers(), st.integers(0, 2**50))
def test_numbers_come_back_as_they_were(values: dict[str, float], step: int, time_ms: int) -> None:
    line = encode(Measured(run=1, values=values, step=step, time_ms=time_ms))
    assert line.count(b"\n") == 1
    json.loads(line, parse_constant=pytest.fail)  # a bare NaN or Infinity is no JSON
    back = decode(line)
    assert isinstance(back, Measured)
    assert (back.step, back.time_ms, list(back.values)) == (step, time_ms, list(values))
    for name, value in values.items():
        same = back.values[name] == value or (math.isnan(value) and math.isnan(back.values[name]))
        assert same


@given(text, st.dictionaries(text, text), st.dictionaries(text, text))
def test_text_comes_back_as_it_was(name: str, tags: dict[str, str], params: dict[str, str]) -> None:
    record = RunStarted(run=0, name=name, tags=tags, params=params, time_ms=1)
    assert decode(encode(record)) == record


@given(st.binary(max_size=60))
def test_damage_is_no_record_and_no_error(junk: bytes) -> None:
    assert decode(junk) is None
    assert decode(encode(Tagged(run=0, key="a", value="b"))[:-3]) is None


def test_a_record_of_a_later_version_is_left_out() -> None:
    assert decode(b'{"kind":"Unheard","run":1}') is None
    assert decode(b'{"kind":"Tagged","run":1,"key":"a","value":"b","more":1}') is None
    assert decode(encode(Sent(offset=3))) == Sent(offset=3)
