import json
from pathlib import Path

import numpy as np
import pytest

from model.errors import ArtifactError, RequestError
from tasks.embedder import Embedder, EmbedderSummary, cut, load_tokenizer
from tests.tasks.chain import byte_vocab, pretrained

ABOUT = EmbedderSummary(
    pooling="mean", dim=32, matryoshka_dims=[32, 16, 8], max_window_tokens=64, layer=2
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pretrained(tmp_path / "embedder", byte_vocab(tmp_path / "vocab"))
    ABOUT.write(tmp_path / "embedder")
    return tmp_path / "embedder"


def test_tokens_have_no_specials_and_no_limit(folder: Path) -> None:
    embedder = Embedder.load(folder)
    texts = ["", "[MASK] is data", "x" * 1000, "文字"]
    tokens = embedder.tokenize(texts)
    assert [len(ids) for ids in tokens] == [len(text.encode()) for text in texts]
    assert min(ids.min() for ids in tokens if len(ids)) > 4
    assert [embedder.tokenizer.decode(ids) for ids in tokens] == texts


def test_who_reads_the_same_content_again_shares_the_tokenizer(
    folder: Path, tmp_path: Path
) -> None:
    """Each that is made anew would leave memory behind that nothing frees."""
    text = (folder / "tokenizer.json").read_text("utf-8")
    (tmp_path / "copy.json").write_text(text, "utf-8")
    (tmp_path / "other.json").write_text(text.replace("[MASK]", "[HIDDEN]"), "utf-8")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    assert load_tokenizer(tmp_path / "copy.json") is tokenizer
    assert load_tokenizer(tmp_path / "other.json") is not tokenizer
    assert Embedder.load(folder).tokenizer is tokenizer
    (tmp_path / "copy.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError, match="is not a tokenizer"):
        load_tokenizer(tmp_path / "copy.json")


def test_encoding_is_per_text_and_of_unit_length(folder: Path) -> None:
    embedder = Embedder.load(folder)
    assert embedder.about == ABOUT
    vectors = embedder.encode_texts(["one", "two " * 100, ""], tokens_per_batch=32)
    assert vectors.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedder.encode_texts(["two " * 100])[0], vectors[1], atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"pooling": "cls"}, {"dim": None, "extra": 1}],
)
def test_what_this_version_does_not_know_is_refused(
    folder: Path, change: dict[str, object]
) -> None:
    values = json.loads((folder / "embedder.json").read_text()) | change
    (folder / "embedder.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=r"embedder\.json"):
        Embedder.load(folder)


@pytest.mark.parametrize("name", ["embedder.json", "tokenizer.json", "model.safetensors"])
def test_missing_and_damaged_files_are_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"{damaged")
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        Embedder.load(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        Embedder.load(folder)


def test_a_cut_vector_has_unit_length_and_the_same_direction() -> None:
    vectors = np.array([[3, 4, 12, 0], [1, 0, 0, 0]], dtype=np.float32) / [[13], [1]]
    np.testing.assert_allclose(cut(vectors.astype(np.float32), 2), [[0.6, 0.8], [1, 0]], atol=1e-6)
    whole = vectors.astype(np.float32)
    assert cut(whole, 4) is whole


def test_only_widths_that_were_trained_are_allowed() -> None:
    assert ABOUT.dims == [32, 16, 8]
    for dim in ABOUT.dims:
        ABOUT.check_dim(dim)
    for dim in (0, 12, 33):
        with pytest.raises(RequestError, match=f"--dim {dim}: .* 32, 16, 8"):
            ABOUT.check_dim(dim)
