import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from model.errors import ArtifactError
from tasks.token_weight_files import FOLDER, read_token_weights, write_token_weights

TOKENS = ["[PAD]", "The", "the", "Ġthe", "é", '"', "\\", "\n", "文", "0.5"]
WEIGHTS = torch.logspace(-6, 0, len(TOKENS)) / 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_token_weights(tmp_path, WEIGHTS, TOKENS)
    return tmp_path


def weights_file(folder: Path) -> Path:
    return folder / FOLDER / "config.json"


def refusal(folder: Path, vocab_size: int = len(TOKENS)) -> str:
    """The message of the error, which is one line, names the file and says what to do."""
    with pytest.raises(ArtifactError) as caught:
        read_token_weights(folder, vocab_size)
    message = str(caught.value)
    assert "\n" not in message
    assert str(weights_file(folder)) in message
    assert message.endswith("run tune again")
    return message


def test_what_was_written_is_read_back_exactly(folder: Path) -> None:
    read_V = read_token_weights(folder, len(TOKENS))
    assert read_V.dtype == torch.float32
    assert torch.equal(read_V, WEIGHTS)


def test_weights_that_are_no_whole_tensor_are_written_too(tmp_path: Path) -> None:
    strided_V = torch.rand(2 * len(TOKENS))[::2]
    write_token_weights(tmp_path, strided_V, TOKENS)
    assert torch.equal(read_token_weights(tmp_path, len(TOKENS)), strided_V)


def test_writing_again_replaces(folder: Path) -> None:
    write_token_weights(folder, WEIGHTS[:3] / 2, TOKENS[:3])
    assert torch.equal(read_token_weights(folder, 3), WEIGHTS[:3] / 2)


@pytest.mark.parametrize("below", [True, False])
def test_the_other_library_loads_the_same_weights(folder: Path, below: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from sentence_transformers.models import WordWeights

    where = {"subfolder": FOLDER} if below else {}
    loaded = WordWeights.load(str(folder if below else folder / FOLDER), **where)
    assert loaded.vocab == TOKENS
    assert torch.equal(loaded.emb_layer.weight.detach().flatten(), WEIGHTS)
    ids_BL = torch.tensor([[3, 1, 9, 0]])
    features = {
        "input_ids": ids_BL,
        "attention_mask": torch.tensor([[1, 1, 1, 0]]),
        "token_embeddings": torch.ones(1, 4, 2),
    }
    weighted_BLD = loaded(features)["token_embeddings"].detach()
    assert torch.equal(weighted_BLD[0, :3, 0], WEIGHTS[[3, 1, 9]])


def test_missing_weights_are_refused(folder: Path) -> None:
    weights_file(folder).unlink()
    assert "no token weights" in refusal(folder)


def test_a_folder_that_has_none_is_refused(tmp_path: Path) -> None:
    assert "no token weights" in refusal(tmp_path)


@pytest.mark.parametrize("kept_bytes", [0, 4, 30, -3])
def test_a_truncated_file_is_refused(folder: Path, kept_bytes: int) -> None:
    path = weights_file(folder)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert "no token weights" in refusal(folder)


@pytest.mark.parametrize("content", [b"{damaged", b"\xff" * 64, b"line\n" * 20])
def test_something_else_is_refused(folder: Path, content: bytes) -> None:
    weights_file(folder).write_bytes(content)
    assert "no token weights" in refusal(folder)


@pytest.mark.parametrize("vocab_size", [len(TOKENS) - 1, len(TOKENS) + 1])
def test_weights_of_another_vocabulary_are_refused(folder: Path, vocab_size: int) -> None:
    assert f"has {len(TOKENS)} weights for {vocab_size} tokens" in refusal(folder, vocab_size)


@pytest.mark.parametrize(
    "about",
    [
        {},
        [],
        {"vocab": TOKENS},
        {"vocab": TOKENS, "word_weights": {}},
        {"vocab": TOKENS, "word_weights": dict.fromkeys(TOKENS, "much")},
        {"vocab": 3, "word_weights": {}},
    ],
    ids=["nothing", "a list", "no weights", "not all", "words", "a number"],
)
def test_a_file_of_something_else_is_refused(folder: Path, about: Any) -> None:
    weights_file(folder).write_text(json.dumps(about))
    assert "no token weights" in refusal(folder)


@pytest.mark.parametrize(
    "value",
    ["1e400", "NaN", "0", "-1", "1e39", "9" * 299, "9" * 400],
    ids=["1e400", "NaN", "0", "-1", "1e39", "299 digits", "400 digits"],
)
def test_a_weight_that_is_no_number_above_0_is_refused(folder: Path, value: str) -> None:
    path = weights_file(folder)
    about = json.loads(path.read_text())
    about["word_weights"]["the"] = "here"
    path.write_text(json.dumps(about).replace('"here"', value))
    refusal(folder)
