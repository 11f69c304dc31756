"""The chain's shape: which stage feeds which.

files -> ingest -> vocab -> tokenize -> pretrain -> tune -> export -> release
                                           |          |
                                         probe     evaluate
"""

from typing import Literal, get_args

from flows.config import PipelineConfig
from model.errors import RequestError
from tasks.stage import Stage

StageName = Literal[
    "ingest", "vocab", "tokenize", "pretrain", "tune", "probe", "evaluate", "export"
]
STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)  # in the order in which they run

UPSTREAM: dict[StageName, tuple[StageName, ...]] = {
    "ingest": (),
    "vocab": ("ingest",),
    "tokenize": ("ingest", "vocab"),
    "pretrain": ("vocab", "tokenize"),
    "tune": ("ingest", "vocab", "tokenize", "pretrain"),
    "probe": ("ingest", "vocab", "tokenize", "pretrain"),
    "evaluate": ("ingest", "vocab", "tokenize", "pretrain", "tune"),
    "export": ("ingest", "vocab", "tune"),
}

ARTIFACT: dict[StageName, str] = {  # what the stage flows call the artifact of each stage
    "ingest": "corpus",
    "vocab": "vocabulary",
    "tokenize": "tokens",
    "pretrain": "encoder",
    "tune": "embedder",
}


def upstream_of(name: StageName, config: PipelineConfig) -> tuple[StageName, ...]:
    """The stages whose artifacts a stage reads with these settings."""
    needless = getattr(config, name).does_without()
    return tuple(each for each in UPSTREAM[name] if each not in needless)


def stages_for(until: StageName | None, config: PipelineConfig) -> list[StageName]:
    """The stages a run takes, in order: all of them, or `until` and what it stands on."""
    if until is None:
        return list(STAGE_NAMES)
    wanted = {until}
    for name in reversed(STAGE_NAMES):
        if name in wanted:
            wanted.update(upstream_of(name, config))
    return [name for name in STAGE_NAMES if name in wanted]


def load_stage(name: StageName) -> Stage:
    """The stage of that name. Its code, and the libraries it needs, are imported when it runs."""
    match name:
        case "ingest":
            from tasks.ingest.stage import INGEST as stage
        case "vocab":
            from tasks.vocab.definition import VOCAB as stage
        case "tokenize":
            from tasks.tokenize.definition import TOKENIZE as stage
        case "pretrain":
            from tasks.pretrain.definition import PRETRAIN as stage
        case "tune":
            from tasks.tune.definition import TUNE as stage
        case "probe":
            from tasks.probe.definition import PROBE as stage
        case "evaluate":
            from tasks.evaluate.definition import EVALUATE as stage
        case "export":
            from tasks.export.definition import EXPORT as stage
        case _:
            raise RequestError(f"there is no stage {name!r}: name one of {', '.join(STAGE_NAMES)}")
    return stage
