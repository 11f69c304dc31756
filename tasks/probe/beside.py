"""Two encoders side by side: each measure at the best layer of each, and what allows a verdict."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.probe.basis import SYSTEMS, is_of_treebank, taken_otherwise
from tasks.probe.other_encoders import Probed
from tasks.probe.page.grammar_page import chosen
from tasks.probe.table import SCHEMA, Row, select
from tasks.stage import Metrics

COMPARISON = "comparison.parquet"
THIS = "this"
COMPARISON_SCHEMA = pa.schema([pa.field("encoder", pa.string()), *SCHEMA])

_ACCURACY = "_accuracy"
_PARTS = ("_unseen_accuracy", "_selectivity", "_compression", "_gain")  # of a probe of words
_CHOSEN_ON = "validation"


class Standing(StrEnum):
    """Where this encoder's number stands beside another's."""

    ABOVE = "above"
    BELOW = "below"
    TIED = "not distinguishable"
    UNLIKE = "taken otherwise"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A measure of two encoders.

    Attributes:
        measure: its name in the tables.
        own: this encoder's row.
        other: the other's.
        unlike: in what the two were taken otherwise, in words; empty where they can be compared.
    """

    measure: str
    own: Row
    other: Row
    unlike: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        """This encoder's value less the other's."""
        return self.own.value - self.other.value

    @property
    def standing(self) -> Standing:
        """Apart only where the intervals are; a bound that is NaN tells nothing apart."""
        if self.unlike:
            return Standing.UNLIKE
        if self.own.low > self.other.high:
            return Standing.ABOVE
        return Standing.BELOW if self.own.high < self.other.low else Standing.TIED


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """This encoder beside one other.

    Attributes:
        own, other: their numbers; of the other without those that are not compared.
        probed: of each probe, both at the layer that did best on their own validation, scored on
            test.
        parts: what belongs to these probes: random weights, controls, code lengths.
        shapes: of each measure without labels, both in their last layer.
        only_own: measures that only this encoder has.
        only_other: those that only the other has.
        not_compared: those that the two read from different treebanks.
    """

    own: Probed
    other: Probed
    probed: list[Pair]
    parts: list[Pair]
    shapes: list[Pair]
    only_own: list[str]
    only_other: list[str]
    not_compared: list[str]

    @property
    def has_same_depth(self) -> bool:
        """Whether both have as many layers."""
        return self.own.num_layers == self.other.num_layers

    def of(self, standing: Standing) -> list[Pair]:
        """The probed pairs that stand so."""
        return [pair for pair in self.probed if pair.standing is standing]


def side_by_side(own: Probed, other: Probed) -> SideBySide:
    """Set two encoders' numbers beside each other.

    Where both read a treebank and not the same one, what they read of it is left out of the other.
    """
    mine, theirs = _measures(own.layers), _measures(other.layers)
    not_compared: list[str] = []
    if _differ_in_treebank(own, other):
        not_compared = [name for name in dict.fromkeys([*mine, *theirs]) if is_of_treebank(name)]
        other = _without_treebank(other)
    shared = [name for name in mine if name in theirs and name not in not_compared]
    tested = [name for name in shared if _is_probed(own.layers, name)]
    probed = [_pair(own, other, name, name) for name in tested]
    return SideBySide(
        own=own,
        other=other,
        probed=probed,
        parts=[part for pair in probed for part in _parts(own, other, pair)],
        shapes=[_in_last_layer(own, other, name) for name in shared if name not in tested],
        only_own=[name for name in mine if name not in {*theirs, *not_compared}],
        only_other=[name for name in theirs if name not in {*mine, *not_compared}],
        not_compared=not_compared,
    )


def beside_metrics(found: Iterable[SideBySide]) -> Metrics:
    """The difference in each probe that can be compared, under flat names after the other's; what
    is not a number is left out."""
    return {
        f"{each.other.name}_{pair.measure}_difference": pair.difference
        for each in found
        for pair in each.probed
        if not pair.unlike and math.isfinite(pair.difference)
    }


def write_comparison(found: Sequence[SideBySide], path: Path) -> None:
    """The rows of all encoders as one tidy table: `encoder`, then the columns of each table.

    `encoder` is ``this``, or the other's name. What is not compared of another is not in it.
    """
    encoders = [found[0].own, *(each.other for each in found)]
    rows = [
        {"encoder": one.name, **vars(row)} for one in encoders for row in (*one.layers, *one.heads)
    ]
    table = pa.Table.from_pylist(rows, schema=COMPARISON_SCHEMA)
    pq.write_table(table, path, write_page_checksum=True)


def _measures(rows: Sequence[Row]) -> list[str]:
    """The encoder's own measures in order, without parts of others and similarities of layers."""
    names = dict.fromkeys(row.measure for row in rows)
    return [
        name
        for name in names
        if not name.startswith((*SYSTEMS, "cka_")) and not _is_part(name, names)
    ]


def _is_part(name: str, names: Iterable[str]) -> bool:
    return any(
        name.endswith(part) and name.removesuffix(part) + _ACCURACY in names for part in _PARTS
    )


def _is_probed(rows: Sequence[Row], measure: str) -> bool:
    return bool(select(rows, measure, split=_CHOSEN_ON))


def _differ_in_treebank(own: Probed, other: Probed) -> bool:
    one, two = own.basis.treebank, other.basis.treebank
    return bool(one) and bool(two) and one != two


def _without_treebank(probed: Probed) -> Probed:
    layers, heads = (
        [row for row in rows if not is_of_treebank(row.measure)]
        for rows in (probed.layers, probed.heads)
    )
    return replace(probed, layers=layers, heads=heads)


def _pair(own: Probed, other: Probed, measure: str, of: str) -> Pair:
    """Both at their own best validation layer, judged as what probe `of` was taken on."""
    return Pair(
        measure=measure,
        own=chosen(own.layers, measure),
        other=chosen(other.layers, measure),
        unlike=tuple(taken_otherwise(own.basis, other.basis, of, is_probed=True)),
    )


def _parts(own: Probed, other: Probed, pair: Pair) -> list[Pair]:
    """What belongs to a probe and both have: other systems at their own best layers, the rest at
    the probe's."""
    found = []
    for system in ("random_", "control_"):
        name = system + pair.measure
        if all(_is_probed(one.layers, name) for one in (own, other)):
            found.append(_pair(own, other, name, pair.measure))
    for part in _PARTS:
        name = pair.measure.removesuffix(_ACCURACY) + part
        rows = _at(own, name, pair.own.layer), _at(other, name, pair.other.layer)
        if rows[0] and rows[1]:
            found.append(Pair(measure=name, own=rows[0], other=rows[1], unlike=pair.unlike))
    return found


def _at(probed: Probed, measure: str, layer: int) -> Row | None:
    return next((row for row in select(probed.layers, measure) if row.layer == layer), None)


def _in_last_layer(own: Probed, other: Probed, measure: str) -> Pair:
    return Pair(
        measure=measure,
        own=select(own.layers, measure)[-1],
        other=select(other.layers, measure)[-1],
        unlike=tuple(taken_otherwise(own.basis, other.basis, measure, is_probed=False)),
    )
