"""Erases documents from a workspace: first what would go, then, if asked, all of it, to the end.

The order matters. What is to go is written down first (``erased/pending.json``, then tombstones),
so that whoever erases again after a crash ends the same. Then goes what was made of corpora, and
the corpora last, since they say which rows elsewhere are meant.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from model.errors import ArtifactError, RequestError
from tasks.erasure.checkpoints import rewrite_checkpoints
from tasks.erasure.corpora import rewrite_corpus, texts_of
from tasks.erasure.databases import pieces_of
from tasks.erasure.datasets import rewrite_dataset
from tasks.erasure.local_state import (
    blank_databases,
    mark_cards,
    remove_indexes,
    replace_examples,
)
from tasks.erasure.pages import page_of
from tasks.erasure.receipt import Answer, artifact_entry, unreachable
from tasks.erasure.records import read_pending, sole, write_receipt, write_tombstone
from tasks.erasure.survey import DATASETS, Survey, every_artifact
from tasks.erasure.targets import Targets, find_targets
from tasks.erasure.tokens import rewrite_tokens
from tasks.release.lock import publishing
from tasks.store.artifact import Artifact
from tasks.store.atomic import write_atomic
from tasks.store.canonical import short_hash
from tasks.store.erased import Erasure, read_erased
from tasks.store.rewriting import finish_pending, put_in_place, scratch_of
from tasks.store.run_records import COMPLETED, state_of, utc_now
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tombstones import pending_file
from tasks.tracking.erased import TrackerErasure, erase_from_tracker


@dataclass(frozen=True)
class Wish:
    """What the user asks for.

    Attributes:
        doc_ids: of the documents; none where an interrupted erasure is to be ended.
        with_duplicates: near duplicates go too.
        reason: for the tombstone and the receipt; no text of documents.
        pages: of each stage, names of the files that quote documents.
    """

    doc_ids: Sequence[str]
    with_duplicates: bool
    reason: str
    pages: Mapping[str, Sequence[str]]


def plan_erasure(store: Store, wish: Wish) -> Answer:
    """What an erasure would do; nothing is written.

    Raises:
        RequestError: an id is not known, or the workspace is in a bucket.
        ArtifactError: the manifest of an artifact, or a table of a corpus, cannot be read.
    """
    targets, near = _targets(store, wish)
    survey = Survey(store, targets, wish.pages)
    entries = [
        artifact_entry(
            each.ref.path,
            survey.num_gone(each),
            [name for name in wish.pages.get(each.ref.stage, ()) if (each.path / name).exists()],
            learned=survey.has_learned(each),
        )
        for each in survey.concerned
    ]
    leftovers = [{"path": str(path), "bytes": size} for path, size in store.leftovers()]
    return _answer(survey, near, entries) | {
        "erased": False,
        "deleted": leftovers,
        "unreachable": unreachable({}),
        "receipt": None,
    }


def erase(store: Store, wish: Wish) -> Answer:
    """Erase, and end an erasure that was interrupted; returns the receipt.

    Raises:
        RequestError: an id is not known, the workspace is in a bucket, or someone works in it or
            has a database of it open.
        ArtifactError: an artifact is damaged; nothing is lost, erase again when it is seen to.
    """
    targets, near = _targets(store, wish)
    workspace = store.workspace
    with sole(workspace):
        _refuse_damaged(Survey(store, targets, wish.pages))
        pending = _begin(store, targets, wish)
        with publishing(workspace):
            finish_pending(workspace)
            survey = Survey(store, targets, wish.pages)
            write_tombstone(workspace, pending)
            done = _erase_all(survey, pending)
        receipt = _answer(survey, near, _entries(store, pending["erasure_id"])) | done
        path = write_receipt(workspace, pending, receipt)
        pending_file(workspace).unlink()
    return receipt | {"receipt": str(path)}


def _targets(store: Store, wish: Wish) -> tuple[Targets, list[str]]:
    if store.workspace.bucket:
        raise RequestError(
            f"{store.workspace.location}: erase works on workspaces in a folder only: for one in a "
            "bucket, delete its prefix with all versions, and run again without the documents"
        )
    pending = read_pending(store.workspace)
    if not wish.doc_ids and not pending:
        raise RequestError("erase: say which documents: DOC_ID, as ledger.parquet names them")
    corpora = [each for each in every_artifact(store) if each.ref.stage == "ingest"]
    corpora.sort(key=_created_at, reverse=True)
    targets, near = find_targets(corpora, wish.doc_ids, with_duplicates=wish.with_duplicates)
    return targets | Targets.from_json(pending["targets"]) if pending else targets, near


def _refuse_damaged(survey: Survey) -> None:
    """What is rewritten counts as whole from then on. What an erasure that died left half renamed
    is no damage."""
    for artifact in survey.concerned:
        if flaws := survey.store.damage_of(artifact.ref):
            raise ArtifactError(
                f"{flaws[0]}: erasing from it would hide that: bring it back from a backup, or "
                f"delete {artifact.path}; then erase again"
            )


def _begin(store: Store, targets: Targets, wish: Wish) -> Answer:
    """Write down what is to go, then see that nobody works here: who begins now sees it too."""
    path = pending_file(store.workspace)
    before = read_pending(store.workspace)
    pending: Answer = {
        "erasure_id": short_hash({k: v for k, v in targets.to_json().items() if k != "asked"}),
        "reason": wish.reason,
        "began_at": utc_now(),
    }
    if before:  # it goes on as what it was, whatever was added
        pending |= {key: before[key] for key in pending if before[key]}
    pending |= {"targets": targets.to_json(), "resumed": before is not None}
    write_atomic(path, json.dumps(pending, ensure_ascii=False).encode())
    try:
        store.refuse_others()
    except RequestError:
        if not before:
            path.unlink()
        raise
    return pending


def _erase_all(survey: Survey, pending: Answer) -> Answer:
    """Everything, in order."""
    store, state = survey.store, survey.store.workspace.state
    texts = [text for found in survey.found.values() for text in texts_of(found, survey.targets)]
    blanked = blank_databases(state, pieces_of(texts))
    tracker = _erase_from_tracker(survey)
    pages = replace_examples(state)
    cards = mark_cards(store.workspace.runs_folder, _runs_of(store.workspace, survey.learned))
    deleted = store.delete_leftovers()
    indexes = []
    for artifact in survey.concerned:
        _rewrite(survey, artifact, pending["erasure_id"])
        if artifact.ref.stage == "export":  # a search before would have made it again
            indexes += remove_indexes(state, artifact.ref.content_id)
    return {
        "erased": True,
        "deleted": [{"path": str(path), "bytes": size} for path, size in deleted]
        + [{"path": str(path), "bytes": 0} for path in indexes],
        "databases_blanked": [str(path) for path in blanked],
        "pages_waiting_replaced": len(pages),
        "model_cards_marked": cards,
        "tracker": asdict(tracker),
        "problems": [tracker.problem] if tracker.problem else [],
        "unreachable": unreachable(asdict(tracker)),
        "resumed": pending["resumed"],
    }


def _rewrite(survey: Survey, artifact: Artifact, erasure_id: str) -> None:
    """New versions of an artifact's files that hold something, and its mark."""
    workspace, stage = survey.store.workspace, artifact.ref.stage
    folder = scratch_of(workspace, artifact)
    num_documents = survey.num_gone(artifact)
    if stage in DATASETS:
        doc_ids = survey.doc_ids_of(artifact)
        num_documents = rewrite_dataset(artifact, doc_ids, survey.targets.contents, folder)
    elif stage == "tokenize":
        num_documents = rewrite_tokens(artifact, survey.doc_ids_of(artifact), folder)
    elif stage == "ingest" and artifact.ref.input_id in survey.found:
        rewrite_corpus(survey.found[artifact.ref.input_id], survey.targets, folder)
    rewrite_checkpoints(artifact, folder)
    if stage != "ingest":
        for name in survey.pages.get(stage, ()):
            old, page = artifact.path / name, page_of(name).encode()
            if old.exists() and old.read_bytes() != page:
                (folder / name).write_bytes(page)
    learned = survey.has_learned(artifact)
    if any(folder.iterdir()) or learned:
        erasure = Erasure(erased_at=utc_now(), num_documents=num_documents, learned=learned)
        put_in_place(workspace, artifact, erasure_id, erasure)


def _erase_from_tracker(survey: Survey) -> TrackerErasure:
    workspace = survey.store.workspace
    names = {name for names in survey.pages.values() for name in names}
    return erase_from_tracker(
        workspace.state,
        content_ids=survey.content_ids,
        run_ids=[run["run_id"] for run in workspace.runs() if state_of(run) != COMPLETED],
        learned=survey.learned,
        pages={name: page_of(name) for name in sorted(names)},
    )


def _runs_of(workspace: Workspace, content_ids: set[str]) -> list[str]:
    """Runs that made or used one of these artifacts."""
    found = []
    for run in workspace.runs():
        made = run.get("artifacts", {})
        refs = made.values() if isinstance(made, Mapping) else made
        if any(ref.get("content_id") in content_ids for ref in refs):
            found.append(run["run_id"])
    return found


def _answer(survey: Survey, near: Sequence[str], entries: Sequence[Answer]) -> Answer:
    return {
        "doc_ids": sorted(survey.targets.asked),
        "exact_twins": survey.twins,
        "near_duplicates": list(near),
        "artifacts": list(entries),
    }


def _entries(store: Store, erasure_id: str) -> list[Answer]:
    """What the erasure did to each artifact, before a crash and after it."""
    entries = []
    for artifact in store.artifacts():
        erased = read_erased(artifact.path)
        if erased and (one := erased.erasures.get(erasure_id)):
            entries.append(
                artifact_entry(artifact.ref.path, one.num_documents, one.files, learned=one.learned)
            )
    return entries


def _created_at(artifact: Artifact) -> str:
    return str(artifact.manifest.information.get("created_at", ""))
