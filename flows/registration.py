"""Registers a released embedder with the tracker, its model card beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.champion import champion_of
from flows.harmless import harmless
from flows.session import Session
from flows.show import HEADLINES
from tasks.release.model_card import CardFacts, model_card
from tasks.release.release import MODEL_NAME, Release
from tasks.store.artifact import ArtifactRef
from tasks.store.erased import read_erased

CARD_FILE = "model_card.md"


def register(run: Session, release: Release, refused: Mapping[str, Any] | None = None) -> None:
    """Make what the run made a version of the registered model, and the release the champion.

    The alias follows the published pointer, so this comes after it, in every run. A challenger that
    was refused is a version too, named by the alias ``challenger``, and its description says why.
    """
    if refused:
        _register_challenger(run, refused)
        follow(run, release)
    else:
        _register_released(run, release)
        run.tracker.set_champion(MODEL_NAME, champion_of(run.workspace, release))


def follow(run: Session, release: Release) -> None:
    """Let the champion be the release's embedder, whichever release it was registered with.

    For new embeddings by an embedder that is there: a version for each night would say nothing.
    """
    metadata = champion_of(run.workspace, release)
    folder = run.store.folder_of(release.embedder)
    run.tracker.register_embedder(folder, MODEL_NAME, metadata)
    run.tracker.set_champion(MODEL_NAME, metadata)


def _register_released(run: Session, release: Release) -> None:
    card = ""
    with harmless("the model card could not be written", run.warn):
        card = card_of(run, release, MODEL_NAME)
        _keep(run, card)
    _register(run, release.embedder, champion_of(run.workspace, release), card)


def _register_challenger(run: Session, refused: Mapping[str, Any]) -> None:
    embedder = ArtifactRef.model_validate(refused["embedder"])
    against = str(refused["against"])
    metadata = {"content_id": embedder.content_id, "refused_against": against}
    reasons = "\n".join(f"- {reason}" for reason in refused["reasons"])
    card = f"# {MODEL_NAME}, not published against release {against}\n\n{reasons}\n"
    run.tracker.tag("corpusmith.refused_against", against)
    run.tracker.tag("mlflow.note.content", card)
    _register(run, embedder, metadata, card)
    run.tracker.set_challenger(MODEL_NAME, metadata)


def _register(run: Session, embedder: ArtifactRef, metadata: dict[str, str], card: str) -> None:
    corpus = run.outcomes["ingest"].ref
    run.tracker.register_embedder(
        run.store.folder_of(embedder),
        MODEL_NAME,
        metadata,
        card=card,
        metrics=main_metrics(run),
        dataset=("corpus", corpus.content_id),
    )


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
            scores=_rows(scores / "scores.parquet"),
            differences=_rows(scores / "differences.parquet"),
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


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path, page_checksum_verification=True).to_pylist()
    return rows


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
