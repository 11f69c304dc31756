"""Registers a released embedder with the tracker, its model card beside it."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.links import harmless
from flows.session import Session
from flows.show import HEADLINES
from tasks.release.model_card import CardFacts, model_card
from tasks.release.release import Release
from tasks.store.erased import read_erased

CARD_FILE = "model_card.md"


def register(run: Session, release: Release, name: str) -> None:
    """Make the release's embedder a version of the registered model, and the champion.

    The alias follows the published pointer, so this comes after it, in every run.
    """
    metadata = {"content_id": release.embedder.content_id, "release": str(release.id)}
    card = ""
    with harmless("the model card could not be written", run.warn):
        card = card_of(run, release, name)
        _keep(run, card)
    corpus = run.outcomes["ingest"].ref
    run.tracker.register_embedder(
        run.store.folder_of(release.embedder),
        name,
        metadata,
        card=card,
        metrics=main_metrics(run),
        dataset=("corpus", corpus.content_id),
    )
    run.tracker.set_champion(name, metadata)


def card_of(run: Session, release: Release, name: str) -> str:
    """The card, from what the run's stages have measured."""
    scores = run.store.folder_of(run.outcomes["evaluate"].ref)
    embedder = run.store.folder_of(release.embedder)
    erased = read_erased(embedder)
    return model_card(
        CardFacts(
            name=name,
            release=release,
            artifacts={stage: outcome.ref for stage, outcome in run.outcomes.items()},
            metrics=run.metrics,
            scores=pq.read_table(scores / "scores.parquet").to_pylist(),
            differences=pq.read_table(scores / "differences.parquet").to_pylist(),
            embedder=_json(embedder / "embedder.json"),
            learned_from_erased=bool(erased and erased.has_learned),
            encoder=_json(embedder / "config.json"),
            settings={
                stage: run.store.get(stage, outcome.ref.input_id).manifest.identity.settings
                for stage, outcome in run.outcomes.items()
            },
        )
    )


def main_metrics(run: Session) -> dict[str, float]:
    """The few numbers by which models are compared."""
    wanted = {f"{stage}/{name}" for stage, names in HEADLINES.items() for name in names}
    return {name: value for name, value in run.metrics.items() if name in wanted}


def _keep(run: Session, card: str) -> None:
    """With the run as a file, and as the note that stands on its page."""
    path = run.workspace.write_run_file(run.run_id, CARD_FILE, card.encode())
    run.tracker.artifact(path)
    run.tracker.tag("mlflow.note.content", card)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
