"""Holds a release to what an empty workspace would get from the same files with its embedder."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.config import load_config
from flows.graph import load_stage
from tasks.execute import execute
from tasks.release.pointer import Release, current
from tasks.stage import map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.flows.chain import QUICK, Chain, as_config
from tests.tasks.chain import Listener

VECTORS_WITHIN = 1e-5


def is_as_from_scratch(chain: Chain, scratch: Path) -> bool:
    """Whether corpus and table have the content of those that an empty workspace gets.

    Args:
        chain: the files and the workspace; all was made with the settings of `QUICK`.
        scratch: the empty workspace, made anew.
    """
    store = Store(Workspace.open_existing(str(chain.workspace)))
    release = current(store.workspace)
    assert release
    assert release.corpus
    shutil.rmtree(scratch, ignore_errors=True)
    corpus, export = made_from_scratch(chain.corpus, store, release, scratch)
    fresh, published = rows_of(scratch / export.path), rows_of(store.folder_of(release.export))
    is_same = corpus.content_id == release.corpus.content_id
    return is_same and is_alike(fresh, published)


def rows_of(folder: Path) -> pa.Table:
    """The documents of an embeddings dataset, in order."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))])


def is_alike(one: pa.Table, other: pa.Table) -> bool:
    """Whether all columns are equal; of vectors, the last bits depend on what shared a batch."""
    vectors = [np.array(table["embedding"].to_pylist()) for table in (one, other)]
    plain = [table.drop_columns("embedding").replace_schema_metadata() for table in (one, other)]
    if not plain[0].equals(plain[1]):
        return False
    return bool(np.abs(vectors[0] - vectors[1]).max() <= VECTORS_WITHIN)


def made_from_scratch(
    texts: Path, store: Store, release: Release, scratch: Path
) -> list[ArtifactRef]:
    """Corpus and table in a workspace that holds the embedder, what it is made of, no more."""
    for artifact in embedder_and_roots(store, release):
        shutil.copytree(artifact, scratch / artifact.relative_to(store.workspace.path))
    erased = store.workspace.path / "erased"
    if erased.exists():
        shutil.copytree(erased, scratch / "erased")
    config = load_config("smoke", as_config(texts, QUICK))  # the default, as of the command line
    fresh = Store(Workspace.open(str(scratch)), warn=lambda text: None)
    embedder = store.get("tune", release.embedder.input_id)
    vocab = store.get("vocab", embedder.manifest.inputs["vocab"].input_id).ref
    made: dict[str, ArtifactRef] = {"vocab": vocab, "tune": release.embedder}
    for name in ("ingest", "export"):
        stage, settings = load_stage(name), getattr(config, name)
        inputs = {upstream: made[upstream] for upstream in stage.reads(settings)}
        outcome = execute(
            stage, settings, inputs, store=fresh, report=Listener(), map_shards=map_in_order
        )
        made[name] = outcome.ref
    return [made["ingest"], made["export"]]


def embedder_and_roots(store: Store, release: Release) -> list[Path]:
    """The folders of the embedder and of all that it was made from, but no corpus."""
    embedder = store.get("tune", release.embedder.input_id)
    roots = embedder.manifest.identity.inputs.items()
    return [embedder.path, *(store.get(*root).path for root in roots if root[0] != "ingest")]
