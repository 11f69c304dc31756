"""The embedder's row and the rows it must be compared with."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from model.errors import RequestError
from tasks.embedder import Embedder
from tasks.evaluate.encoders import BagOfTokens, encoder_systems
from tasks.evaluate.vectors import System, ranked_pairs_of
from tests.tasks.evaluate.folders import write_embedder, write_encoder
from tests.tasks.evaluate.listening import Listening

TEXTS = ["a ship in the harbour", "butter and flour", "ship"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    made = tmp_path_factory.mktemp("encoders")
    return write_embedder(made / "tune"), write_encoder(made / "pretrain")


@pytest.fixture(scope="module")
def systems(folders: tuple[Path, Path]) -> list[System]:
    cpu = torch.device("cpu")
    return list(encoder_systems(*folders, seed=5, device=cpu, report=Listening()))


def test_they_come_in_order_each_with_its_own_vectors(systems: list[System]) -> None:
    assert [system.name for system in systems] == ["corpusmith", "bag", "pretrained", "untrained"]
    vectors = [system.vectors(TEXTS) for system in systems]
    for rows in vectors:
        assert (rows.shape, rows.dtype) == ((3, 32), np.float32)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    for row, other in pairwise(vectors):
        assert np.abs(row - other).max() > 0.01


def test_only_the_embedder_is_cut(systems: list[System]) -> None:
    names = [pair.system for made in systems for pair in ranked_pairs_of(made, TEXTS, TEXTS)]
    cuts = ["corpusmith_dim_16", "corpusmith_dim_8"]
    assert names == ["corpusmith", *cuts, "bag", "pretrained", "untrained"]


def test_the_bag_is_an_encoder_without_layers_or_special_tokens(folders: tuple[Path, Path]) -> None:
    embedder = Embedder.load(folders[0])
    ids = torch.tensor(embedder.tokenize(TEXTS[:1])[0], dtype=torch.int64)
    with torch.inference_mode():
        states_LD = embedder.encoder.final_norm(embedder.encoder.embeddings(ids[None])[0])
        assert embedder.weights_V is not None
        mean_D = (states_LD * embedder.weights_V[ids][:, None]).mean(0).numpy()
    found = BagOfTokens(embedder).vectors(TEXTS[:1])[0]
    np.testing.assert_allclose(found, mean_D / np.linalg.norm(mean_D), atol=1e-6)


def test_the_bag_is_blind_to_order_and_empty_without_a_token(folders: tuple[Path, Path]) -> None:
    rows = BagOfTokens(Embedder.load(folders[0])).vectors(["abc", "cba", ""])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-7)
    assert not rows[2].any()


def test_a_missing_model_is_refused_before_any_is_made(folders: tuple[Path, Path]) -> None:
    with pytest.raises(RequestError, match="/nowhere is no folder"):
        encoder_systems(
            *folders,
            seed=0,
            device=torch.device("cpu"),
            report=Listening(),
            sentence_transformers=["/nowhere"],
        )
