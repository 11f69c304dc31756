"""Where a workspace keeps its releases and the pointer to the current one: folder or bucket."""

from typing import Protocol

from tasks.release.release import Release, parse_release, render_release
from tasks.release.switches import Switch, parse_switch, render_switch
from tasks.store.atomic import write_atomic
from tasks.store.remote.bucket import CURRENT_RELEASE, RELEASES, SWITCHES, Bucket
from tasks.store.workspace import Workspace


class Shelf(Protocol):
    """Reads and adds releases, and swaps the pointer."""

    def current(self) -> tuple[Release | None, str]:
        """What is published now, and the tag of the pointer that says so."""

    def releases(self) -> list[Release]:
        """Every release there was, newest first."""

    def add(self, release: Release) -> bool:
        """Keep a release for good; False where another one has its id."""

    def switches(self) -> list[Switch]:
        """Every switch that was written, oldest first."""

    def last_number(self) -> int:
        """Of the switches that were written; 0 before the first. Reads none of them."""

    def note(self, switch: Switch) -> bool:
        """Keep a switch for good; False where another one has its number."""

    def switch(self, release: Release, tag: str) -> bool:
        """Make the release the current one; False where the pointer was moved since `tag`."""


def shelf_of(workspace: Workspace) -> Shelf:
    """The workspace's."""
    return BucketShelf(workspace.bucket) if workspace.bucket else FolderShelf(workspace)


class FolderShelf:
    """Releases in files; see `Shelf`. Who writes holds the lock, see `tasks.release.lock`."""

    def __init__(self, workspace: Workspace) -> None:
        """Args:
        workspace: a local one.
        """
        self._workspace = workspace
        self._folder = workspace.published / "releases"
        self._history = workspace.published / "switches"

    def current(self) -> tuple[Release | None, str]:
        """See `Shelf.current`; there are no tags."""
        path = self._workspace.current_release
        try:
            return parse_release(path.read_bytes(), str(path)), ""
        except FileNotFoundError:
            return None, ""

    def releases(self) -> list[Release]:
        """See `Shelf.releases`."""
        paths = sorted(self._folder.glob("[0-9]*.json"), reverse=True)
        return [parse_release(path.read_bytes(), str(path)) for path in paths]

    def add(self, release: Release) -> bool:
        """See `Shelf.add`; the lock keeps others away."""
        self._folder.mkdir(exist_ok=True)
        write_atomic(self._folder / f"{release.id:06d}.json", render_release(release))
        return True

    def switches(self) -> list[Switch]:
        """See `Shelf.switches`."""
        paths = sorted(self._history.glob("[0-9]*.json"))
        return [parse_switch(path.read_bytes(), str(path)) for path in paths]

    def last_number(self) -> int:
        """See `Shelf.last_number`."""
        return max((int(path.stem) for path in self._history.glob("[0-9]*.json")), default=0)

    def note(self, switch: Switch) -> bool:
        """See `Shelf.note`; the lock keeps others away."""
        self._history.mkdir(exist_ok=True)
        write_atomic(self._history / f"{switch.number:06d}.json", render_switch(switch))
        return True

    def switch(self, release: Release, tag: str) -> bool:
        """See `Shelf.switch`; the lock keeps others away."""
        write_atomic(self._workspace.current_release, render_release(release))
        return True


class BucketShelf:
    """Releases in objects; see `Shelf`. Nobody is locked out: whoever is late is told."""

    def __init__(self, bucket: Bucket) -> None:
        """Args:
        bucket: of the workspace.
        """
        self._bucket = bucket
        self._objects = bucket.objects

    def current(self) -> tuple[Release | None, str]:
        """See `Shelf.current`."""
        found = self._objects.read(CURRENT_RELEASE)
        if found is None:
            return None, ""
        return parse_release(found.raw, f"{self._bucket.url}/{CURRENT_RELEASE}"), found.tag

    def releases(self) -> list[Release]:
        """See `Shelf.releases`."""
        keys = sorted((found.key for found in self._objects.listed(RELEASES)), reverse=True)
        read = ((f"{self._bucket.url}/{key}", self._objects.read(key)) for key in keys)
        return [parse_release(found.raw, where) for where, found in read if found]

    def add(self, release: Release) -> bool:
        """See `Shelf.add`."""
        key = f"{RELEASES}{release.id:06d}.json"
        return self._objects.create(key, render_release(release)) is not None

    def switches(self) -> list[Switch]:
        """See `Shelf.switches`."""
        keys = sorted(found.key for found in self._objects.listed(SWITCHES))
        read = ((f"{self._bucket.url}/{key}", self._objects.read(key)) for key in keys)
        return [parse_switch(found.raw, where) for where, found in read if found]

    def last_number(self) -> int:
        """See `Shelf.last_number`."""
        names = (found.key.removeprefix(SWITCHES) for found in self._objects.listed(SWITCHES))
        return max((int(name.removesuffix(".json")) for name in names), default=0)

    def note(self, switch: Switch) -> bool:
        """See `Shelf.note`."""
        key = f"{SWITCHES}{switch.number:06d}.json"
        return self._objects.create(key, render_switch(switch)) is not None

    def switch(self, release: Release, tag: str) -> bool:
        """See `Shelf.switch`."""
        raw = render_release(release)
        if tag:
            return self._objects.replace(CURRENT_RELEASE, raw, tag) is not None
        return self._objects.create(CURRENT_RELEASE, raw) is not None
