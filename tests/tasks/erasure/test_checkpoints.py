"""Checkpoints quote passages of documents in their state; without them they are still whole."""

import json
from pathlib import Path

from tasks.checkpoints import newest_checkpoint, write_checkpoint
from tasks.erasure.checkpoints import rewrite_checkpoints
from tests.tasks.chain import sealed


def test_the_examples_go_and_the_checkpoint_is_whole(tmp_path: Path) -> None:
    made, new = tmp_path / "made", tmp_path / "new"
    for step, samples in ((5, []), (10, [{"step": 9, "parts": ["a secret"]}])):

        def write(folder: Path, step: int = step, samples: list = samples) -> None:
            state = {"step": step, "samples": samples}
            (folder / "state.json").write_text(json.dumps({"format": 2, "state": state}))
            (folder / "model.safetensors").write_bytes(b"weights")

        write_checkpoint(made / "checkpoints", step, write, scheduled=True)
    new.mkdir()
    assert rewrite_checkpoints(sealed(made, "pretrain"), new) == 1
    for path in (path for path in new.rglob("*") if path.is_file()):
        path.replace(made / path.relative_to(new))
    assert not [
        path for path in made.rglob("*") if path.is_file() and b"secret" in path.read_bytes()
    ]
    found = newest_checkpoint(made / "checkpoints", on_damaged=lambda folder: None)
    assert found
    assert found.step == 10
    assert json.loads((found.folder / "state.json").read_text())["state"]["step"] == 10
