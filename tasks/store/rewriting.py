"""Rewrites files of committed artifacts for an erasure, so that a crash at any point does no harm.

New files are made below ``staging/.erasing/<stage>/<input_id>/``. Then the sealed ``ERASED.json``
of the artifact names their contents beside the old ones: from that moment the erasure is decided.
Then each is renamed over the old one, so that a reader finds either whole; and at last
``ERASED.json`` forgets the old ones. Whoever erases again begins with ending what was decided.
"""

import shutil
from pathlib import Path

from model.errors import ArtifactError
from tasks.store.artifact import Artifact
from tasks.store.atomic import fsync_file, fsync_folder, write_atomic
from tasks.store.erased import (
    ERASED_NAME,
    Content,
    Erased,
    Erasure,
    RewrittenFile,
    contents_of,
    read_erased,
    render_erased,
)
from tasks.store.hashing import sha256_of, walk, walk_folders
from tasks.store.workspace import Workspace

_SCRATCH = ".erasing"  # hidden, so that nobody takes it for an attempt at a request


def scratch_of(workspace: Workspace, artifact: Artifact) -> Path:
    """An empty folder for new versions of an artifact's files, under the same names."""
    folder = _scratch(workspace, artifact)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def put_in_place(
    workspace: Workspace, artifact: Artifact, erasure_id: str, erasure: Erasure
) -> None:
    """Put what lies in the artifact's scratch folder in the places of its files.

    Args:
        workspace: whose artifact it is; nobody else may be at work in it.
        artifact: with the files that are replaced.
        erasure_id: under which the same erasure is found again.
        erasure: what it did; its `files` are filled in.
    """
    folder = _scratch(workspace, artifact)
    known = read_erased(artifact.path) or Erased()
    held = contents_of(artifact.manifest, known)
    files = dict(known.files)
    names = sorted(name for name, _ in walk(folder)) if folder.is_dir() else []
    for name in names:
        fsync_file(folder / name)
        (folder / name).chmod(0o444)
        files[name] = RewrittenFile(before=held[name][-1], after=_content(folder / name))
    if names:
        _keep_names(workspace, folder)
    before = known.erasures.get(erasure_id)
    told = erasure.model_copy(
        update={
            "files": tuple(sorted({*names, *(before.files if before else ())})),
            "num_documents": max(erasure.num_documents, before.num_documents if before else 0),
            "learned": erasure.learned or bool(before and before.learned),
        }
    )
    erased = Erased(files=files, erasures=known.erasures | {erasure_id: told})
    if erased == known:
        return
    _write(workspace, artifact.path, erased)
    _finish(workspace, artifact.path, erased)


def finish_pending(workspace: Workspace) -> None:
    """End what an interrupted erasure had decided.

    Raises:
        ArtifactError: a new file is gone, so that it cannot be ended.
    """
    for path in sorted(workspace.artifacts.glob(f"*/*/{ERASED_NAME}")):
        erased = read_erased(path.parent)
        if erased and erased.is_pending:
            _finish(workspace, path.parent, erased)
    shutil.rmtree(workspace.staging / _SCRATCH, ignore_errors=True)


def _finish(workspace: Workspace, folder: Path, erased: Erased) -> None:
    scratch = workspace.staging / _SCRATCH / folder.parent.name / folder.name
    scratch.parent.mkdir(parents=True, exist_ok=True)
    for name, file in erased.files.items():
        if file.before:
            _swap(scratch / name, folder, name, file.after)
    files = {name: RewrittenFile(after=file.after) for name, file in erased.files.items()}
    _write(workspace, folder, erased.model_copy(update={"files": files}))
    shutil.rmtree(scratch, ignore_errors=True)


def _keep_names(workspace: Workspace, folder: Path) -> None:
    """The new files have to survive a power failure before anything says that they are there."""
    outside = (folder.parent, workspace.staging / _SCRATCH, workspace.staging)
    for each in (*walk_folders(folder), *outside):
        fsync_folder(each)


def _swap(new: Path, folder: Path, name: str, wanted: Content) -> None:
    old = folder / name
    if new.exists():
        old.parent.mkdir(parents=True, exist_ok=True)
        new.replace(old)
        fsync_folder(old.parent)
    elif not old.exists() or _content(old) != wanted:
        raise ArtifactError(
            f"{old} was to be rewritten by an erasure, and what was to replace it is gone: delete "
            f"{folder} and erase again"
        )


def _write(workspace: Workspace, folder: Path, erased: Erased) -> None:
    """Through the scratch folder: half a file beside the manifest would count as damage."""
    new = workspace.staging / _SCRATCH / f"{folder.parent.name}-{folder.name}.json"
    write_atomic(new, render_erased(erased))
    new.replace(folder / ERASED_NAME)
    fsync_folder(folder)


def _content(path: Path) -> Content:
    return Content(bytes=path.stat().st_size, sha256=sha256_of(path))


def _scratch(workspace: Workspace, artifact: Artifact) -> Path:
    return workspace.staging / _SCRATCH / artifact.ref.stage / artifact.ref.input_id
