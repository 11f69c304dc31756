"""What stages took in earlier runs on this machine, and what follows for the next one.

The manifests of a workspace's artifacts tell the settings, the amounts and the seconds. The ratio
of these seconds to what the cost model says of the same work is the factor by which this machine
is slower or faster than the model has it; the next run's seconds are multiplied by it.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from flows.amounts import Amounts, Metrics, counted_amounts
from flows.config import PipelineConfig
from flows.cost import Cost, cost_of
from flows.graph import STAGE_NAMES, StageName, load_stage
from flows.speed import Speed
from model.errors import RequestError
from tasks.store.manifest import Manifest
from tasks.store.store import Store
from tasks.store.surroundings import describe_machine

NUM_NEAREST = 3  # of several runs, those most like the next one count
ALIKE = 4.0  # a run of up to four times, or down to a quarter of, the work


@dataclass(frozen=True)
class PastStage:
    """One stage of an earlier run.

    Attributes:
        config: its settings and those of the stages before it; of others, defaults.
        done_frac: part of the work that it did not do, because it stopped early or found it done.
        created_at: when, as ISO 8601 in UTC.
    """

    stage: StageName
    config: PipelineConfig
    amounts: Amounts
    seconds: float
    done_frac: float
    created_at: str


@dataclass(frozen=True)
class PastRuns:
    """What is known of a workspace's earlier runs.

    Attributes:
        stages: those that this machine did from beginning to end.
        num_elsewhere: by stage, those that other machines did; they are not used.
    """

    stages: tuple[PastStage, ...] = ()
    num_elsewhere: Counter[str] = field(default_factory=Counter)

    def calibrate(self, stage: StageName, cost: Cost, speed: Speed) -> Cost:
        """The cost, its seconds by what the runs most like it took; as it is if there was none."""
        past = [(self._modelled_s(each, speed), each) for each in self.stages]
        past = [(seconds, each) for seconds, each in past if each.stage == stage]
        if not past:
            return replace(cost, rests_on=cost.rests_on + self._told_elsewhere(stage))
        past.sort(key=lambda pair: pair[1].created_at, reverse=True)  # the newest of equals
        past.sort(key=lambda pair: _distance(pair[0], cost.seconds))
        nearest = past[:NUM_NEAREST]
        factor = median(each.seconds / modelled for modelled, each in nearest)
        return cost.calibrated(factor, _told(cost.seconds / nearest[0][0], len(nearest)))

    def _told_elsewhere(self, stage: str) -> str:
        number = self.num_elsewhere[stage]
        runs = "1 run on another machine" if number == 1 else f"{number} runs on other machines"
        return f" ({runs} not counted)" if number else ""

    def _modelled_s(self, past: PastStage, speed: Speed) -> float:
        cost = cost_of(past.stage, past.config, past.amounts, speed, done_frac=past.done_frac)
        return cost.seconds


def past_runs(store: Store) -> PastRuns:
    """The earlier runs of a workspace, as far as their records can be read."""
    manifests = {
        (artifact.ref.stage, artifact.ref.input_id): artifact.manifest
        for artifact in store.artifacts()
    }
    here = describe_machine()
    elsewhere: Counter[str] = Counter()
    stages = []
    for (stage, _), manifest in manifests.items():
        if not _is_of(manifest.information, here):
            elsewhere[stage] += 1
        elif past := _past_stage(manifest, manifests):
            stages.append(past)
    return PastRuns(tuple(stages), elsewhere)


def _is_of(information: Mapping[str, Any], machine: Mapping[str, Any]) -> bool:
    """Records of before processors and GPUs were noted have the host's name only."""
    return all(information.get(name, value) == value for name, value in machine.items())


def _past_stage(
    manifest: Manifest, manifests: Mapping[tuple[str, str], Manifest]
) -> PastStage | None:
    """None where the artifacts it was made from are gone, or its settings cannot be read now."""
    stage, information = manifest.identity.stage, manifest.information
    if stage not in STAGE_NAMES or information.get("resumed") or not information.get("seconds"):
        return None
    if manifest.identity.version != load_stage(stage).version:
        return None  # its work was another
    chain = _made_from(manifest, manifests)
    for above in list(chain.values()):
        chain = _made_from(above, manifests) | chain
    chain[stage] = manifest
    config = _config(chain)
    metrics = {name: each.information.get("metrics", {}) for name, each in chain.items()}
    if "ingest" not in chain or config is None:
        return None
    names = [name for name, _ in chain["ingest"].identity.sources or []]
    return PastStage(
        stage=stage,
        config=config,
        amounts=counted_amounts(names, config.vocab.vocab_size, metrics),
        seconds=float(information["seconds"]) - metrics[stage].get("compile_seconds", 0.0),
        done_frac=_done_frac(stage, config, metrics[stage]),
        created_at=str(information.get("created_at", "")),
    )


def _made_from(
    manifest: Manifest, manifests: Mapping[tuple[str, str], Manifest]
) -> dict[str, Manifest]:
    keys = [(name, entry.input_id) for name, entry in manifest.inputs.items()]
    return {
        name: manifests[name, input_id] for name, input_id in keys if (name, input_id) in manifests
    }


def _config(chain: Mapping[str, Manifest]) -> PipelineConfig | None:
    settings = {name: dict(each.identity.settings) for name, each in chain.items()}
    if "probe" in settings and chain["probe"].identity.sources:
        settings["probe"]["conllu"] = ("given",)
    try:
        return PipelineConfig.model_validate(settings)
    except (ValueError, RequestError):  # of another version
        return None


def _done_frac(stage: StageName, config: PipelineConfig, metrics: Metrics) -> float:
    """What the stage was spared: earlier vectors it took over, or steps after the best."""
    if stage == "pretrain":
        return metrics.get("resumed_from_step", 0.0) / config.pretrain.max_steps
    if stage == "export":
        spared = metrics.get("num_reused", 0.0) + metrics.get("num_resumed", 0.0)
        return spared / max(spared + metrics.get("num_embedded", 0.0), 1.0)
    if stage == "tune" and "best_step" in metrics:
        tune = config.tune
        between = tune.max_steps / tune.num_checkpoints
        done = min(metrics["best_step"] + tune.patience * between, tune.max_steps)
        return 1.0 - done / tune.max_steps
    return 0.0


def _distance(one: float, other: float) -> float:
    return abs(math.log(one / other))


def _told(ratio: float, num_runs: int) -> str:
    runs = "1 earlier run" if num_runs == 1 else f"{num_runs} earlier runs"
    if 1 / ALIKE <= ratio <= ALIKE:
        return f"{runs} here"
    times = ratio if ratio > 1 else 1 / ratio
    return f"{runs} here, of {times:,.0f} times {'less' if ratio > 1 else 'more'} work"
