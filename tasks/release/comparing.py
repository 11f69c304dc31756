"""Two releases side by side: who finds what, whose neighbours are the same, what was set otherwise.

Shape letters: Q documents asked about.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.retrieval import Floats, MeanEstimate, bootstrap_mean, shared_frac
from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.release.common_rows import CommonRows, sample_of
from tasks.release.release import Release
from tasks.release.trial.config import TrialConfig
from tasks.release.trial.definition import RELEASED_CORPUS, RELEASED_EMBEDDER
from tasks.store.artifact import ArtifactRef
from tasks.store.identity import Identity, explain_difference, stage_of_input
from tasks.store.store import Store
from tasks.vector_index import Rows

MAX_QUERIES = 2000  # documents whose neighbours are compared; of more a seeded sample
NUM_NEIGHBOURS = 10
NUM_MOVED = 10
SEED = 0


@dataclass(frozen=True)
class Moved:
    """A document that lies elsewhere in the second release.

    Attributes:
        doc_id: in the first one.
        overlap: the part of its neighbours that stayed.
        cosine: of its two vectors, where both are of one embedder; else None.
    """

    doc_id: str
    overlap: float
    cosine: float | None


@dataclass(frozen=True)
class Neighbourhoods:
    """How the documents that both releases have lie among each other.

    Attributes:
        num_common: such documents, counted by their text.
        num_asked: of them, those whose neighbours were compared; exact for each of these.
        overlap: of the ten nearest in the first release, the part that is nearest in the second
            too; None where fewer than two documents are common.
        moved: of those asked, the ones that kept the fewest neighbours, then the smallest cosine.
        moved_by_vector: the ones of the smallest cosine; empty where the embedders differ.
    """

    num_common: int
    num_asked: int
    overlap: MeanEstimate | None
    moved: list[Moved]
    moved_by_vector: list[Moved]


def trial_inputs(first: Release, second: Release) -> dict[str, ArtifactRef] | None:
    """What a trial of the second against the first reads; None where they have one embedder, or a
    corpus is not known."""
    if first.embedder.content_id == second.embedder.content_id:
        return None
    if first.corpus is None or second.corpus is None:
        return None
    return {
        "ingest": second.corpus,
        "tune": second.embedder,
        RELEASED_CORPUS: first.corpus,
        RELEASED_EMBEDDER: first.embedder,
    }


def trial_settings(store: Store, embedder: ArtifactRef) -> TrialConfig:
    """Those by which the embedder was evaluated, or the defaults where that is gone."""

    def is_of_embedder(inputs: dict[str, str]) -> bool:
        return inputs.get(embedder.stage) == embedder.input_id

    for artifact in store.artifacts("evaluate"):
        identity = artifact.manifest.identity
        if is_of_embedder(identity.inputs):
            return TrialConfig.like(identity.settings)
    return TrialConfig()


def neighbourhoods(
    store: Store, first: Release, second: Release, *, max_queries: int = MAX_QUERIES
) -> Neighbourhoods:
    """Compare the ten nearest of each common document, of at most `max_queries` of them.

    Raises:
        ArtifactError: an export is gone or damaged.

    Cost: two exact searches, each a pass over all vectors of a release; memory of a block.
    """
    rows = CommonRows.of(*(_dataset(store, each) for each in (first, second)))
    if rows.num_documents < 2:
        return Neighbourhoods(rows.num_documents, 0, None, [], [])
    asked_Q = sample_of(np.arange(rows.num_documents), max_queries, SEED)
    found = (side.neighbours(asked_Q, NUM_NEIGHBOURS) for side in (rows.first, rows.second))
    overlap_Q = shared_frac(*found)
    is_same = first.embedder.content_id == second.embedder.content_id
    cosine_Q = _cosines(rows, asked_Q) if is_same else None
    ranked_by = overlap_Q if cosine_Q is None else cosine_Q
    order = np.lexsort((ranked_by, overlap_Q))
    by_vector = [] if cosine_Q is None else np.argsort(cosine_Q, kind="stable").tolist()

    def moved(places: list[int]) -> list[Moved]:
        return [
            Moved(
                rows.doc_ids[asked_Q[at]],
                float(overlap_Q[at]),
                None if cosine_Q is None else float(cosine_Q[at]),
            )
            for at in places[:NUM_MOVED]
        ]

    return Neighbourhoods(
        num_common=rows.num_documents,
        num_asked=len(asked_Q),
        overlap=bootstrap_mean(overlap_Q, num_resamples=1000, seed=SEED),
        moved=moved(order.tolist()),
        moved_by_vector=moved(by_vector),
    )


def differences_in_settings(store: Store, first: Release, second: Release) -> list[str]:
    """What makes the second export another request than the first, from its files on, one line
    each; what is gone is told as gone."""
    old, new = (_requests(store, each.export) for each in (first, second))
    lines = []
    for stage in dict.fromkeys([*old, *new]):
        if stage in old and stage in new:
            own = explain_difference(old[stage], new[stage])
            lines += [line for line in own if "ran with other settings or inputs" not in line]
        else:
            lines.append(f"{stage}: only release {(first if stage in old else second).id} has it")
    return lines


def _requests(store: Store, export: ArtifactRef) -> dict[str, Identity]:
    """Of the export and all it was made from that is still there, what was made first first."""
    found: dict[str, Identity] = {}
    for link in store.lineage(store.workspace.path / export.path):
        if link["present"]:
            manifest = store.get(link["stage"], link["input_id"]).manifest
            found.setdefault(link["stage"], manifest.identity)
    ordered: dict[str, Identity] = {}

    def add(stage: str) -> None:
        for name in found[stage].inputs:
            if stage_of_input(name) in found:
                add(stage_of_input(name))
        ordered.setdefault(stage, found[stage])

    add(export.stage)
    return ordered


def _dataset(store: Store, release: Release) -> EmbeddingsDataset:
    folders = (store.folder_of(each) for each in (release.export, release.embedder))
    return EmbeddingsDataset.open(*folders)


def _cosines(rows: CommonRows, asked_Q: Rows) -> Floats:
    first_QD, second_QD = (side.vectors_of(asked_Q) for side in (rows.first, rows.second))
    cosines_Q: Floats = np.einsum("qd,qd->q", first_QD, second_QD).astype(np.float64)
    return cosines_Q


def scores_of(first: Release, second: Release) -> list[dict[str, Any]]:
    """The scores that each was published with, side by side; on the test documents of each."""
    return [
        {"metric": name, "first": first.scores[name], "second": second.scores[name]}
        for name in first.scores
        if name in second.scores
    ]
