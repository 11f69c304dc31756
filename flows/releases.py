"""What ``corpusmith release`` answers: the history, two releases beside each other, the way back,
and new vectors in an old space."""

import argparse
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.announce import announce
from flows.champion import follow_pointer
from flows.plain_reporter import PlainReporter
from flows.released import current_release
from model.errors import CorpusmithError, RequestError
from tasks.execute import Outcome, execute
from tasks.release.pointer import current, history, released, releases, roll_back
from tasks.release.release import Release
from tasks.settings import StageConfig
from tasks.stage import Stage, map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.store import Store
from tasks.store.workspace import Workspace

Answer = dict[str, Any]


_NUM_IDS = {"list": (0,), "compare": (2,), "rollback": (0, 1), "align": (0, 1, 2)}


def answer_release(options: argparse.Namespace) -> Answer:
    """Whatever ``corpusmith release`` was asked.

    Raises:
        RequestError: too few or too many releases are named, or an option of another action.
    """
    action, ids = options.action, options.ids
    if len(ids) not in _NUM_IDS[action]:
        numbers = " or ".join(map(str, _NUM_IDS[action]))
        raise RequestError(f"release {action} takes {numbers} ids of releases, got {len(ids)}")
    if action != "align" and (options.onto is not None or options.output):
        raise RequestError(f"release {action}: --onto and --output are of align")
    workspace = Workspace.open_existing(options.workspace)
    answer: Answer = {"action": action}
    match action:
        case "compare":
            return answer | compare_releases(workspace, *ids)
        case "rollback":
            return answer | rollback(workspace, ids[0] if ids else None, _warn)
        case "align":
            output = Path(options.output) if options.output else None
            return answer | align(workspace, ids, options.onto, output)
    return answer | list_releases(workspace)


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def list_releases(workspace: Workspace) -> Answer:
    """``release list``: every release, newest first, and every switch, oldest first."""
    store = Store(workspace)
    published = current(workspace)
    return {
        "current": published.id if published else None,
        "releases": [
            each.model_dump(mode="json") | {"present": store.has(each.export)}
            for each in releases(workspace)
        ],
        "history": [each.model_dump(mode="json") for each in history(workspace)],
    }


def compare_releases(workspace: Workspace, first_id: int, second_id: int) -> Answer:
    """``release compare A B``: differences are B minus A.

    Raises:
        RequestError: there was no such release.
        ArtifactError: an export is gone or damaged.
    """
    from tasks.release import comparing

    store = Store(workspace)
    first, second = released(workspace, first_id), released(workspace, second_id)
    lying = comparing.neighbourhoods(store, first, second)
    return {
        "first": first.model_dump(mode="json"),
        "second": second.model_dump(mode="json"),
        "same_embedder": first.embedder.content_id == second.embedder.content_id,
        "trial": _trial(store, first, second),
        "scores": comparing.scores_of(first, second),
        "neighbours": asdict(lying),
        "differences": comparing.differences_in_settings(store, first, second),
    }


def _trial(store: Store, first: Release, second: Release) -> Answer | None:
    from tasks.release import comparing
    from tasks.release.trial.definition import TRIAL
    from tasks.release.trial.findings import Trial

    inputs = comparing.trial_inputs(first, second)
    if inputs is None or not all(store.has(ref) for ref in inputs.values()):
        return None
    settings = comparing.trial_settings(store, second.embedder)
    outcome = _execute(TRIAL, settings, inputs, store)
    return asdict(Trial.read(store.folder_of(outcome.ref)))


def rollback(workspace: Workspace, release_id: int | None, warn: Callable[[str], None]) -> Answer:
    """``release rollback [ID]``: switches the pointer, then the alias, then tells of it.

    Raises:
        RequestError: there was no such release, or nothing to go back to.
        ArtifactError: what it names is gone or damaged.
    """
    before = current(workspace)
    release = roll_back(workspace, release_id)
    is_moved = before is None or before.id != release.id
    champion = follow_pointer(workspace, warn)
    if is_moved:
        announce(workspace, release, "rolled_back", before.id if before else None, warn)
    return {
        "release": release.model_dump(mode="json"),
        "before": before.id if before else None,
        "switched": is_moved,
        "champion": champion,
    }


def align(
    workspace: Workspace, ids: Sequence[int], onto: int | None, output: Path | None
) -> Answer:
    """``release align [NEW OLD | --onto OLD] [--output DIR]``.

    Without ids the current release is rotated onto the one before it. The dataset is an artifact;
    with `output` it is copied to a folder, which appears under its name when it is whole.

    Raises:
        RequestError: there was no such release, OLD is named twice, or the folder is there already.
        CorpusmithError: the vectors cannot be aligned, or the folder cannot be written.
    """
    from tasks.release.align.config import AlignConfig
    from tasks.release.align.definition import ALIGN, OLD_EXPORT

    if output and output.exists():
        raise RequestError(f"--output {output}: it is there already: name a folder to be made")
    new, old = _pair(workspace, ids, onto)
    if new.corpus is None:
        raise RequestError(f"release {new.id} names no corpus: align another one")
    store = Store(workspace)
    inputs = {"ingest": new.corpus, "export": new.export, OLD_EXPORT: old.export}
    outcome = _execute(ALIGN, AlignConfig(), inputs, store)
    folder = store.folder_of(outcome.ref)
    if output:
        _copy(folder, output, outcome.ref.path)
    made = outcome.ref.model_dump(mode="json")
    return {
        "new": new.id,
        "onto": old.id,
        "artifact": made | {"reused": outcome.reused, "seconds": outcome.seconds},
        "path": str(output or folder),
        "metrics": {f"align/{name}": value for name, value in outcome.metrics.items()},
    }


def _pair(workspace: Workspace, ids: Sequence[int], onto: int | None) -> tuple[Release, Release]:
    now = current_release(workspace)
    new = released(workspace, ids[0]) if ids else now
    if len(ids) > 1:
        if onto is not None:
            raise RequestError(f"release align: OLD is named twice, {ids[1]} and --onto {onto}")
        onto = ids[1]
    if onto is None:
        onto = _published_after(workspace, new)
    if onto is None:
        raise RequestError(f"no release came before release {new.id}: name one with --onto")
    if onto == new.id:
        raise RequestError(f"release {new.id} lies in its own space already: name another one")
    return new, released(workspace, onto)


def _published_after(workspace: Workspace, release: Release) -> int | None:
    """The id of what was current when the release was published last."""
    published = [each for each in history(workspace) if each.kind == "published"]
    found = [each.before for each in published if each.release == release.id]
    if found:
        return found[-1]
    older = [each.id for each in releases(workspace) if each.id < release.id]
    return max(older, default=None)  # of before there was a history


def _execute(
    stage: Stage, config: StageConfig, inputs: dict[str, ArtifactRef], store: Store
) -> Outcome:
    report = PlainReporter()
    return execute(stage, config, inputs, store=store, report=report, map_shards=map_in_order)


def _copy(folder: Path, output: Path, kept_at: str) -> None:
    """All files but the manifest, which speaks of a place in the workspace."""
    part = output.with_name(f".{output.name}.{secrets.token_hex(6)}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, part, ignore=shutil.ignore_patterns(MANIFEST_NAME))
        part.rename(output)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise CorpusmithError(
            f"--output {output} cannot be written: {_cause(error)}; the aligned vectors are kept "
            f"in the workspace, at {kept_at}: make room and ask again, or take them from there"
        ) from error


def _cause(error: OSError) -> str:
    """`shutil.copytree` tells of each file that failed: source, copy and why."""
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][2])
    return str(error.strerror or error)
