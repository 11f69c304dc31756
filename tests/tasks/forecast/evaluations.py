"""Evaluations of parts of a text, made by hand: who answers which query at which share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks.evaluate.scores import HARD_HALF_DOCUMENT, Outcome
from tasks.evaluate.scores import write_outcomes as write
from tasks.forecast.config import SHARES, ForecastConfig
from tasks.forecast.stage import FORECAST
from tasks.stage import Metrics, StageContext
from tasks.store.artifact import Artifact
from tasks.system_names import EMBEDDER, HALF_DOCUMENT
from tests.tasks.chain import Listener, sealed

# Of each system, its score on the whole text and the log odds it gains by a doubling.
SYSTEMS = {
    EMBEDDER: (0.7, 0.6),
    f"{EMBEDDER}_dim_16": (0.6, 0.6),
    "layer_0": (0.9, 0.6),
    "bag": (0.7, 0.6),
    "tfidf": (0.85, 0.1),
    "lsa": (0.72, 0.1),
    "word2vec": (0.3, 0.3),
}


def evaluations(
    folder: Path,
    *,
    num_queries: int = 300,
    systems: Mapping[str, tuple[float, float]] = SYSTEMS,
    hidden: Sequence[range] = (range(0), range(0), range(0)),
) -> dict[str, Artifact]:
    """The evaluations that a forecast reads, by name.

    Args:
        hidden: for each share, queries that it lacks.
    """
    places_Q = (np.random.default_rng(0).permutation(num_queries) + 0.5) / num_queries
    ease_Q = np.log(places_Q / (1 - places_Q))  # so that scores are just what SYSTEMS says
    made = {}
    for (name, share), left_out in zip(SHARES.items(), hidden, strict=True):
        asked = [number for number in range(num_queries) if number not in left_out]
        asked = asked[::-1] if share == 0.5 else asked  # their order means nothing
        outcomes = []
        for system, (at_whole, slope) in systems.items():
            odds = np.log(at_whole / (1 - at_whole)) + slope * np.log2(share)
            values_Q = (ease_Q < odds).astype(float)[asked]
            outcomes.append(Outcome(system, HALF_DOCUMENT, "recall_at_1", values_Q))
            outcomes.append(Outcome(system, HALF_DOCUMENT, "mrr", values_Q * 0 + 0.123))
            outcomes.append(Outcome(system, HARD_HALF_DOCUMENT, "recall_at_1", values_Q * 0))
        place = folder / name.replace("/", "-")
        place.mkdir(parents=True)
        write(outcomes, [f"document {number}" for number in asked], place / "outcomes.parquet")
        made[name] = sealed(place, "evaluate")
    return made


def foretell(folder: Path, inputs: Mapping[str, Artifact]) -> Metrics:
    """Run the stage into a folder."""
    folder.mkdir()
    config = ForecastConfig(num_resamples=200)
    return FORECAST.run(StageContext(config, inputs, folder, Listener()))
