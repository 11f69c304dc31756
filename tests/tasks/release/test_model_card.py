"""A model card says what was measured, and does not spare the model."""

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.release.model_card import CardFacts, model_card
from tasks.release.release import Release
from tasks.store.artifact import ArtifactRef

REF = ArtifactRef(
    stage="export",
    input_id="1" * 32,
    content_id="2" * 32,
    path=f"artifacts/export/{'1' * 32}",
)
METRICS = {
    "ingest/num_kept": 1234.0,
    "vocab/bytes_per_token": 3.5,
    "pretrain/validation_loss": 5.5,
    "pretrain/unigram_loss": 7.0,
    "probe/order_accuracy": 0.9,
    "probe/order_accuracy_low": 0.8,
    "probe/order_accuracy_high": 0.95,
    "probe/random_order_accuracy": 0.5,
    "probe/order_layer": 2.0,
}


def row(value: float, low: float, high: float, **more: str) -> dict[str, Any]:
    named = {"system": "corpusmith", "task": "half_document", "measure": "recall_at_1"}
    return {**named, "value": value, "low": low, "high": high, "n": 419, **more}


def card(
    metrics: Mapping[str, float] = METRICS,
    difference: tuple[float, float, float] = (0.1, 0.05, 0.15),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    return model_card(
        CardFacts(
            name="an-embedder",
            release=Release(id=3, embedder=REF, export=REF, published_at="2026-01-01"),
            artifacts={"export": REF},
            metrics=metrics,
            scores=[row(0.5, 0.4, 0.6), row(0.4, 0.3, 0.5, system="tfidf")],
            differences=[row(*difference, baseline="tfidf")],
            embedder={"dim": 128, "matryoshka_dims": [128, 64], "max_window_tokens": 126},
            encoder={"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 128},
            settings=settings or {},
        )
    )


def test_it_tells_of_data_vocabulary_scores_probes_and_lineage() -> None:
    text = card()
    assert "# an-embedder, release 3" in text
    assert "1,234 kept" in text
    assert "3.500 bytes a token" in text
    assert "| TF-IDF | 0.400 [0.300, 0.500] |" in text
    assert "| order | 0.900 [0.800, 0.950] | 0.500" in text
    assert "| export | `" + "2" * 32 in text
    assert "nothing but the text below" in text
    assert "does better" not in text


def test_what_was_not_measured_is_unknown_not_nought() -> None:
    assert "unknown documents read" in card()


def test_what_certainly_does_better_is_a_limit() -> None:
    assert "TF-IDF does better at half_document recall_at_1, by 0.200 [0.100, 0.300]" in card(
        difference=(-0.2, -0.3, -0.1)
    )
    assert "does better" not in card(difference=(-0.2, -0.5, 0.1))


def test_an_encoder_that_learned_nothing_is_said_to_have_not() -> None:
    assert "did not learn" in card(METRICS | {"pretrain/validation_loss": 7.1})
    assert "did not learn" not in card()


@pytest.mark.parametrize(
    ("stage", "key", "what"),
    [("pretrain", "init_from", "weights"), ("vocab", "tokenizer", "vocabulary")],
)
def test_what_came_from_elsewhere_is_said_to(stage: str, key: str, what: str) -> None:
    assert f"begun with {what} from elsewhere" in card(settings={stage: {key: "given"}})
