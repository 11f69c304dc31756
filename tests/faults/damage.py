"""Ways to damage a file. Each puts another file in its place, since copies share their files."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path, random.Random], None]


def truncate(path: Path, chance: random.Random) -> None:
    """Lose the end, as a crash or a broken copy does."""
    content = path.read_bytes()
    put(path, content[: chance.randrange(len(content))])


def flip(path: Path, chance: random.Random) -> None:
    """One wrong bit, as memory and cables make."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    put(path, bytes(content))


def flip_in_tail(path: Path, chance: random.Random) -> None:
    """One wrong bit near the end, where Parquet and Arrow say what the file holds."""
    content = bytearray(path.read_bytes())
    content[-1 - chance.randrange(min(len(content), 1500))] ^= 1 << chance.randrange(8)
    put(path, bytes(content))


def zero(path: Path, chance: random.Random) -> None:
    """The same size and no content, as some file systems leave after a power failure."""
    put(path, bytes(path.stat().st_size))


def remove(path: Path, chance: random.Random) -> None:
    """Not there any more."""
    path.unlink()


def add(path: Path, chance: random.Random) -> None:
    """One more file of the same kind beside it."""
    path.with_name(f"more-{path.name}").write_bytes(path.read_bytes())


def put(path: Path, content: bytes) -> None:
    """Replace a file that others may share."""
    path.unlink()
    path.write_bytes(content)


def of_a_newer_format(checkpoint: Path) -> None:
    """A training state as another version would write it, with checksums that fit."""
    state, checksums = checkpoint / "state.json", checkpoint / "checksums.json"
    put(state, json.dumps(json.loads(state.read_text("utf-8")) | {"format": 99}).encode())
    digest = hashlib.sha256(state.read_bytes()).hexdigest()
    recorded = json.loads(checksums.read_text("utf-8")) | {"state.json": digest}
    put(checksums, json.dumps(recorded).encode())


def sealed(manifest: dict[str, Any]) -> bytes:
    """A manifest with these values under a seal that fits."""
    values = {name: value for name, value in manifest.items() if name != "seal"}
    blank = "0" * 64
    raw = json.dumps(values | {"seal": blank}, indent=1, ensure_ascii=False).encode()
    return raw.replace(f'"{blank}"'.encode(), f'"{hashlib.sha256(raw).hexdigest()}"'.encode())


ALL: tuple[Damage, ...] = (truncate, flip, flip_in_tail, zero, remove, add)
