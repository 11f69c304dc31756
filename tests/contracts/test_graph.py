"""The chain's shape stands in one place, and the stages agree with it."""

import pytest

from flows.graph import STAGE_NAMES, UPSTREAM, load_stage, stages_for


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_each_stage_agrees_with_the_graph(name: str) -> None:
    stage = load_stage(name)
    assert stage.name == name
    assert stage.upstream == UPSTREAM[name]
    assert stage.version >= 1


def test_every_stage_comes_after_what_it_reads() -> None:
    for name in STAGE_NAMES:
        assert set(UPSTREAM[name]) <= set(STAGE_NAMES[: STAGE_NAMES.index(name)])


def test_a_stage_runs_without_side_branches() -> None:
    assert stages_for("probe") == ["ingest", "vocab", "tokenize", "pretrain", "probe"]
    assert stages_for("export") == ["ingest", "vocab", "tokenize", "pretrain", "tune", "export"]
    assert stages_for("ingest") == ["ingest"]
    assert stages_for(None) == list(STAGE_NAMES)
