"""Probes of encoders made by hand: rows of layers around given values, and artifacts of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.probe.basis import basis_of
from tasks.probe.config import ProbeConfig
from tasks.probe.other_encoders import Probed
from tasks.probe.stage import PROBE
from tasks.probe.table import HEADS, LAYERS, Row, write_rows
from tasks.store.artifact import Artifact, ArtifactRef, artifact_path
from tests.tasks.evaluate.other_runs import commit

CONTENTS = {stage: digit * 32 for stage, digit in (("ingest", "a"), ("vocab", "b"))} | {
    "tokenize": "c" * 32,
    "pretrain": "d" * 32,
}
SETTINGS = ProbeConfig().identity()
TREEBANK = [["x-ud-test.conllu", "1" * 64], ["x-ud-train.conllu", "2" * 64]]
OTHER_TREEBANK = [["x-ud-train.conllu", "3" * 64]]
TASK, POS = "bigram_shift_accuracy", "upos_accuracy"


def rows_of(
    measure: str,
    values: Sequence[float],
    *,
    splits: Sequence[str] = ("validation", "test"),
    around: float = 0.01,
    seed: int | None = None,
) -> list[Row]:
    """A row each layer and split, the same in every split."""
    return [
        Row(
            measure=measure,
            layer=layer,
            seed=seed,
            split=split,
            value=value,
            low=value - around,
            high=value + around,
        )
        for split in splits
        for layer, value in enumerate(values)
    ]


def unlabelled(measure: str, values: Sequence[float]) -> list[Row]:
    return rows_of(measure, values, splits=("validation+test",))


def head_rows(num_layers: int) -> list[Row]:
    return [
        replace(row, head=head)
        for row in unlabelled("entropy", [1.0] * (num_layers + 1))
        if row.layer
        for head in (0, 1)
    ]


def probed(
    name: str,
    *measured: list[Row],
    contents: Mapping[str, str] = CONTENTS,
    settings: Mapping[str, Any] = SETTINGS,
    sources: Any = None,
) -> Probed:
    layers = [row for rows in measured for row in rows]
    heads = head_rows(max(row.layer for row in layers))
    return Probed(
        name=name, layers=layers, heads=heads, basis=basis_of(contents, settings, sources)
    )


def write_probe(
    workspace: Path,
    one: Probed,
    *,
    sources: Any = None,
    version: int = PROBE.version,
    contents: Mapping[str, str] = CONTENTS,
) -> Artifact:
    """What the probe stage leaves of it, as far as others read it."""
    made = workspace / "made"
    made.mkdir(parents=True)
    write_rows(one.layers, made / LAYERS)
    write_rows(one.heads, made / HEADS)
    refs = {
        stage: ArtifactRef(
            stage=stage, input_id=content, content_id=content, path=artifact_path(stage, content)
        )
        for stage, content in contents.items()
    }
    return commit(
        workspace, made, "probe", refs, one.basis.settings, version=version, sources=sources
    )
