"""The store of a workspace: find, make, commit, check, trace and clear away artifacts.

How a stage uses it::

    artifact = store.find(identity, inputs)
    if artifact is None:
        with store.lease(identity.stage, identity.input_id) as lease:
            artifact = store.find(identity, inputs)  # another process may have made it meanwhile
            artifact = artifact or store.finish(lease, identity, inputs)  # or have died at the end
            if artifact is None:
                with store.staging(lease) as staging:
                    ...  # write files below staging.folder
                    artifact = staging.commit(identity, inputs, information)
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, RequestError
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.erased import read_erased
from tasks.store.garbage import KEPT_RELEASES, delete, find_garbage, leftovers, sized
from tasks.store.identity import Identity
from tasks.store.lease import PACE, Lease, Pace, hold_lease
from tasks.store.lineage import Link, lineage_of
from tasks.store.lookup import lookup_of
from tasks.store.manifest import read_manifest
from tasks.store.run_records import is_going_on_here
from tasks.store.staging import Staging, finish
from tasks.store.verification import flaws_beside
from tasks.store.workspace import Workspace

_log = logging.getLogger("corpusmith.store")

Progress = Callable[[int, int, str], None]
Inputs = Mapping[str, ArtifactRef]

_WHOLE_WORKSPACE = "0" * 32  # in place of a request's id


class Store:
    """The artifacts of one workspace. Safe to use from several threads and processes."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        warn: Callable[[str], None] = _log.warning,
        say: Callable[[str], None] = _log.info,
        pace: Pace = PACE,
    ) -> None:
        """Args:
        workspace: where the artifacts lie.
        warn: told, in one line, of everything that is set aside or skipped.
        say: told when this process waits for another.
        pace: of the leases' heartbeat.
        """
        self.workspace = workspace
        self._lookup = lookup_of(workspace, warn)
        self._warn = warn
        self._say = say
        self._pace = pace

    def find(self, identity: Identity, expected_inputs: Inputs) -> Artifact | None:
        """The committed answer to a request, every byte verified, made from exactly these inputs.

        One that is damaged or was made from other inputs is set aside with a warning. Costs a
        read of all its files, once a process while they stay untouched.

        Raises:
            FormatError: a newer corpusmith wrote it.
            UnreadableError: the disk or its permissions stand in the way.
        """
        return self._lookup.find(identity, expected_inputs)

    def get(self, stage: str, input_id: str) -> Artifact:
        """A committed artifact by name, its files not verified.

        Raises:
            ArtifactError: there is none, or its manifest is damaged.
        """
        return self._lookup.read(stage, input_id)

    def resolve(self, ref: ArtifactRef) -> Artifact:
        """The artifact that a reference names, to be read from: every byte verified.

        Costs what `find` costs. Nothing is set aside: only the stage that made it can make
        it again.

        Raises:
            ArtifactError: it is not there, damaged, of other content, or cannot be read.
        """
        return self._lookup.resolve(ref)

    def has(self, ref: ArtifactRef) -> bool:
        """Whether an artifact of that name is there, of whatever content; reads no file of it."""
        return self._lookup.has(ref)

    def folder_of(self, ref: ArtifactRef) -> Path:
        """The folder of an artifact, to be read from; fetched and verified where it is not here.

        For what was resolved before, or what a release names: local folders are not verified.

        Raises:
            ArtifactError: it had to be fetched and is not there, or damaged.
        """
        return self._lookup.folder_of(ref)

    def checked_folder_of(self, ref: ArtifactRef, *, unread: str) -> Path:
        """The folder of an artifact, of which all is verified but for one folder that is not read.

        For what a release names and is loaded for each command: checkpoints can be large.

        Args:
            ref: of what was resolved before, or what a release names.
            unread: the folder's name.

        Raises:
            ArtifactError: it is not there, damaged, or cannot be read.
        """
        folder = self.folder_of(ref)
        flaws = flaws_beside(folder, read_manifest(folder), unread=unread)
        if flaws:
            raise ArtifactError(
                f"{ref.path} cannot be read from: {flaws[0]}; run {ref.stage} again"
            )
        return folder

    def latest(self, identity: Identity) -> Artifact | None:
        """The newest committed answer to a request that differs in its sources at most, verified.

        For a stage that can build on what it made of other files before. Damaged ones are passed
        over with a warning.
        """

        def differs_in_sources_only(artifact: Artifact) -> bool:
            found = artifact.manifest.identity
            return found.model_copy(update={"sources": identity.sources}) == identity

        return self.newest(identity.stage, differs_in_sources_only)

    def newest(self, stage: str, suits: Callable[[Artifact], bool]) -> Artifact | None:
        """The newest committed artifact of a stage that `suits` accepts, every byte verified.

        For a stage that can build on what it made of other inputs before. Nothing is moved: one
        that is damaged or unreadable is passed over with a warning.

        Args:
            stage: the stage's name.
            suits: asked before the files are verified.
        """
        candidates = [artifact for artifact in self.artifacts(stage) if suits(artifact)]
        for artifact in sorted(candidates, key=_created_at, reverse=True):
            flaws = self._flaws(artifact)
            if not flaws:
                return artifact
            self._warn(f"skipped: {artifact.ref.path}: {flaws[0]}")
        return None

    def prepare(self, stage: str) -> None:
        """See, before a stage's work, that what it makes can be committed.

        Raises:
            RequestError: no permission, a file in the way, or another disk.
            DiskFullError: there is no room even for its folders.
        """
        self.workspace.prepare_stage(stage)

    def lease(self, stage: str, input_id: str) -> AbstractContextManager[Lease]:
        """The sole right to work on a request, through a ``with`` block.

        Waits while another live process has it; takes over at once from one that died on this
        machine, and from any other after ``pace.patience_s`` of silence.
        """
        seat = self._lookup.seat(stage, input_id)
        return hold_lease(seat, stage, input_id, pace=self._pace, say=self._say)

    def sole_lease(self, name: str) -> AbstractContextManager[Lease]:
        """The sole right to do something in the workspace, through a ``with`` block.

        Taken over from the dead as `lease` does; nobody waits for the living.

        Args:
            name: what is done, as in a stage's name; its own, not that of a stage.

        Raises:
            RequestError: another process is at it; the line says which.
        """
        seat = self._lookup.seat(name, _WHOLE_WORKSPACE)
        return hold_lease(
            seat, name, _WHOLE_WORKSPACE, pace=self._pace, say=self._say, is_patient=False
        )

    def is_at_work(self, stage: str) -> bool:
        """Whether someone may be working on a request of the stage, as far as one look can tell."""
        return self._lookup.is_at_work(stage)

    def refuse_others(self) -> None:
        """See that nobody works in the workspace, as far as one look can tell.

        Raises:
            RequestError: someone does.
        """
        going_on = [run["run_id"] for run in self.workspace.runs() if is_going_on_here(run)]
        if going_on or self._lookup.is_at_work():
            who = f"run {going_on[-1]}" if going_on else "another process"
            raise RequestError(
                f"{self.workspace.location}: {who} is at work: wait until it ends, or stop it"
            )

    def finish(self, lease: Lease, identity: Identity, inputs: Inputs) -> Artifact | None:
        """Publish what an attempt that died had finished, every byte verified; None without any.

        Raises:
            NondeterminismError: another result of the same request was committed first.
            LeaseLostError: another process has taken the work over.
            StorageError: the bucket cannot be reached.
        """
        return finish(self._lookup, lease, identity, inputs)

    def staging(
        self, lease: Lease, inputs: Inputs | None = None, goes_on_from: Sequence[str] = ()
    ) -> Staging:
        """The folder to work in, with what an earlier attempt at the request left there.

        What was made from `inputs` and set aside gives it what is whole and the stage goes on from.
        """
        return Staging(self._lookup, lease, inputs or {}, goes_on_from)

    def artifacts(self, stage: str = "*") -> Iterator[Artifact]:
        """All committed artifacts, or a stage's, unverified; unreadable ones are skipped with a
        warning."""
        for found in self._lookup.read_all(stage):
            if isinstance(found, Artifact):
                yield found
            else:
                self._warn(f"skipped: {found}")

    def damage_of(self, ref: ArtifactRef) -> list[str]:
        """What is wrong with the files of an artifact, one line each; every byte is read."""
        return self._problems(ref.stage, ref.input_id)

    def verify_all(self, progress: Progress | None = None) -> list[str]:
        """Read every byte of every artifact; nothing is moved.

        Args:
            progress: told (artifacts done, artifacts there are, "artifacts") after each.

        Returns:
            The problems, one line each, by file name; empty when all is well.
        """
        problems: list[str] = []
        names = list(self._lookup.names())
        for done, name in enumerate(names, start=1):
            problems.extend(self._problems(*name))
            if progress:
                progress(done, len(names), "artifacts")
        return problems

    def lineage(self, path: Path) -> list[Link]:
        """The chain from a file or artifact down to the source files; see `lineage_of`.

        Raises:
            RequestError: `path` lies in no artifact of this workspace.
            ArtifactError: its manifest is damaged.
        """
        return lineage_of(self._lookup, path)

    def collect_garbage(
        self,
        *,
        dry_run: bool = True,
        older_than_days: float = 7.0,
        keep_releases: int = KEPT_RELEASES,
    ) -> Sequence[tuple[Path | str, int]]:
        """Folders or URLs of what nothing refers to, with their bytes; deleted unless `dry_run`.

        Args:
            dry_run: only say what would go.
            older_than_days: what is younger stays.
            keep_releases: how many of the newest releases keep what they need; the current one
                always does.

        Raises:
            ArtifactError: a kept release or a run record cannot be read; nothing is deleted.
        """
        if self.workspace.bucket:
            from tasks.store.remote.garbage import collect
            from tasks.store.remote.lookup import BucketLookup

            assert isinstance(self._lookup, BucketLookup)
            return collect(
                self._lookup,
                older_than_days=older_than_days,
                keep_releases=keep_releases,
                dry_run=dry_run,
            )
        garbage = find_garbage(self._lookup, older_than_days, keep_releases)
        found = [(each, sized(each)) for each in garbage]
        return [size for each, size in found if dry_run or delete(self._lookup, each)]

    def erased(self, artifacts: Iterable[Artifact]) -> list[dict[str, Any]]:
        """What was erased from artifacts, JSON values; those that lost nothing are left out.

        Raises:
            ArtifactError: what says so is damaged.
        """
        found = ((each.ref.path, read_erased(each.path)) for each in artifacts)
        return [
            {
                "path": path,
                "num_documents": erased.num_documents,
                "num_files": len(erased.files),
                "learned": erased.has_learned,
                "is_pending": erased.is_pending,
            }
            for path, erased in found
            if erased
        ]

    def leftovers(self) -> list[tuple[Path, int]]:
        """Folders of unfinished work and of what was set aside, with their bytes; see
        `delete_leftovers`."""
        return [sized(each) for each in leftovers(self._lookup)]

    def delete_leftovers(self) -> list[tuple[Path, int]]:
        """Delete those folders; returns what has gone."""
        found = [(each, sized(each)) for each in leftovers(self._lookup)]
        return [size for each, size in found if delete(self._lookup, each)]

    def _flaws(self, artifact: Artifact) -> list[str]:
        try:
            return self._lookup.flaws(artifact)
        except ArtifactError as error:
            return [str(error)]

    def _problems(self, stage: str, input_id: str) -> list[str]:
        try:
            artifact = self.get(stage, input_id)
            return [f"{artifact.ref.path}: {flaw}" for flaw in self._lookup.damage(artifact)]
        except ArtifactError as error:
            return [str(error)]


def _created_at(artifact: Artifact) -> str:
    return str(artifact.manifest.information.get("created_at", ""))
