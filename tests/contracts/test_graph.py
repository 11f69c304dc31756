"""The chain's shape stands in one place, and the stages agree with it."""

from pathlib import Path

import pytest

from flows.config import PipelineConfig
from flows.graph import STAGE_NAMES, UPSTREAM, load_stage, stages_for, upstream_of
from tasks.probe.config import ProbeConfig

PLAIN = PipelineConfig()


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
    assert stages_for("probe", PLAIN) == ["ingest", "vocab", "tokenize", "pretrain", "probe"]
    assert stages_for("export", PLAIN) == [
        "ingest",
        "vocab",
        "tokenize",
        "pretrain",
        "tune",
        "export",
    ]
    assert stages_for("ingest", PLAIN) == ["ingest"]
    assert stages_for(None, PLAIN) == list(STAGE_NAMES)


def test_a_named_encoder_needs_the_corpus_alone() -> None:
    config = PipelineConfig(probe=ProbeConfig(encoder=Path("some/encoder")))
    assert stages_for("probe", config) == ["ingest", "probe"]
    assert stages_for("tune", config) == stages_for("tune", PLAIN)
    assert stages_for(None, config) == list(STAGE_NAMES)
    assert upstream_of("probe", config) == ("ingest",)


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_stage_and_graph_leave_out_the_same(name: str) -> None:
    for config in (PLAIN, PipelineConfig(probe=ProbeConfig(encoder=Path("some/encoder")))):
        assert load_stage(name).reads(getattr(config, name)) == upstream_of(name, config)
