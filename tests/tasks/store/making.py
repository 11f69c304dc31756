"""Makes workspaces, requests and artifacts for the tests of the store and of releases."""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.store.artifact import Artifact
from tasks.store.identity import Identity
from tasks.store.store import Store
from tasks.store.workspace import Workspace

FILES = {"a.txt": b"first\n", "deep/er/b.bin": bytes(range(256)) * 40, "empty": b""}
_CHANGES = {"open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "os.symlink"}


class Listener(list[str]):
    """Collects what the store says."""

    def __call__(self, text: str) -> None:
        self.append(text)


def new_store(folder: Path, warnings: list[str] | None = None) -> Store:
    heard = Listener() if warnings is None else warnings
    return Store(Workspace.open(folder / "workspace"), warn=heard.append)


def identity_of(
    stage: str = "vocab", inputs: Mapping[str, Artifact] | None = None, **settings: Any
) -> Identity:
    ids = {name: artifact.ref.input_id for name, artifact in (inputs or {}).items()}
    return Identity(stage=stage, version=1, settings=settings, inputs=ids, sources=None)


def write_files(folder: Path, files: Mapping[str, bytes] = FILES) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def make(
    store: Store,
    identity: Identity,
    *,
    inputs: Mapping[str, Artifact] | None = None,
    files: Mapping[str, bytes] = FILES,
) -> Artifact:
    """What the executor does for a stage that writes `files`."""
    refs = {name: artifact.ref for name, artifact in (inputs or {}).items()}
    with store.lease(identity.stage, identity.input_id) as lease:
        found = store.find(identity, refs) or store.finish(lease, identity, refs)
        if found:
            return found
        with store.staging(lease) as staging:
            write_files(staging.folder, files)
            return staging.commit(identity, refs, {"metrics": {"size": 1.5}})


def overwrite(path: Path, content: bytes) -> None:
    """Change a committed file in place, as only damage or a stubborn user would."""
    path.chmod(0o644)
    path.write_bytes(content)


def flip_bit(path: Path, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << (bit % 8)
    overwrite(path, bytes(content))


def resealed(raw: bytes, **changes: Any) -> bytes:
    """A manifest with other values, as another version of the store would seal them."""
    values = json.loads(raw) | changes
    values.pop("seal")
    blanked = json.dumps(values | {"seal": "0" * 64}, ensure_ascii=False).encode()
    return blanked.replace(b'"' + b"0" * 64, b'"' + hashlib.sha256(blanked).hexdigest().encode())


def killed_at_change(number: int, folder: Path, work: Callable[[], object]) -> bool:
    """Do `work` in a forked process that dies before its `number`-th change below `folder`.

    Every open, rename, mkdir, chmod, link and removal counts. False when it ended before that.
    """
    child = os.fork()
    if child == 0:
        _kill_self_at(number, folder)
        try:
            work()
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def _kill_self_at(number: int, folder: Path) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _CHANGES and str(arguments[0]).startswith(str(folder)):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
