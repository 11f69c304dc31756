"""The whole measurement: a planted property is found where it was planted, and only there."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tasks.probe.comparison import standing
from tasks.probe.config import ProbeConfig
from tasks.probe.findings import Findings, probe_encoder
from tasks.probe.metrics import final_metrics
from tasks.probe.page.figures import HEAD_FIGURES, LAYER_FIGURES, draw_figures
from tasks.probe.page.report import write_report
from tasks.probe.ratios import Ratio, mean_of, ratio_interval
from tasks.probe.self_labelled import TASKS
from tasks.probe.table import Row, select, write_rows
from tests.tasks.probe.encoders import (
    PLANTED_LAYER,
    VOCABULARY,
    Silent,
    corpus,
    planted_encoder,
)

CONFIG = ProbeConfig(
    num_documents=60, max_tokens_per_document=40, num_examples=200, window_tokens=8, device="cpu"
)


@cache
def planted() -> tuple[Findings, Silent]:
    report = Silent()
    return probe_encoder(planted_encoder(), corpus(), VOCABULARY, CONFIG, report), report


def values(rows: Sequence[Row]) -> list[float]:
    return [row.value for row in rows]


def row(value: float, low: float, high: float) -> Row:
    return Row(measure="m", layer=0, split="test", value=value, low=low, high=high)


def test_the_planted_layer_is_found_and_no_other() -> None:
    findings, _ = planted()
    by_layer = values(select(findings.layers, "bigram_shift_accuracy", split="test"))
    assert by_layer[PLANTED_LAYER] > 0.95
    assert all(
        abs(value - 0.5) < 0.12 for layer, value in enumerate(by_layer) if layer != PLANTED_LAYER
    )
    comparison = findings.comparisons[0]
    assert comparison.task == "bigram_shift"
    assert comparison.trained.layer == PLANTED_LAYER
    assert comparison.standing == "above random weights"
    assert comparison.selectivity > 0.3


def test_the_order_of_sentences_is_found_where_the_order_of_tokens_is() -> None:
    """An exchange of sentences makes one token smaller than the one before it, too."""
    findings, _ = planted()
    by_layer = values(select(findings.layers, "sentence_order_accuracy", split="test"))
    assert by_layer[PLANTED_LAYER] > 0.9
    assert all(value < 0.65 for layer, value in enumerate(by_layer) if layer != PLANTED_LAYER)


def test_tasks_of_several_classes_have_their_own_chance() -> None:
    findings, _ = planted()
    found = {one.task: one for one in findings.comparisons}
    assert list(found) == list(TASKS)
    assert found["sentence_length"].chance == 0.25
    assert found["word_content"].chance == pytest.approx(1 / 3)
    assert found["word_content"].trained.value > 0.8  # embeddings hold the word
    assert found["bigram_shift"].chance == 0.5
    for one in found.values():
        drawn = findings.examples[one.task]
        for examples in drawn.values():
            counts = Counter(examples.labels_E.tolist())
            assert len(counts) == examples.num_classes
            assert len(set(counts.values())) == 1
    assert "chance 0.25." in draw_figures(findings)["sentence_length"].says


def test_shuffled_labels_score_at_chance_in_every_layer() -> None:
    findings, _ = planted()
    for comparison in findings.comparisons:
        measure = f"control_{comparison.task}_accuracy"
        control = select(findings.layers, measure, split="test")
        assert all(abs(value - comparison.chance) < 0.15 for value in values(control))
        num_covering = sum(one.low <= comparison.chance <= one.high for one in control)
        assert num_covering >= len(control) - 1


def test_random_weights_have_rows_of_every_measure_and_seed() -> None:
    findings, _ = planted()
    for seed in (0, 1, 2):
        for prefix in ("", "random_", "control_"):
            measure = f"{prefix}bigram_shift_accuracy"
            for split in ("validation", "test"):
                found = select(findings.layers, measure, split=split, seed=seed)
                assert [one.layer for one in found] == [0, 1, 2, 3]
    trained = {one.measure for one in [*findings.layers, *findings.heads]}
    prefixes = ("random_", "control_", "word2vec_")
    unprefixed = {name for name in trained if not name.startswith(prefixes)}
    assert {f"random_{name}" for name in unprefixed} <= trained
    random = select(findings.layers, "random_anisotropy", seed=0)
    assert [one.layer for one in random] == [0, 1, 2, 3]


def test_word2vec_stands_beside_the_embeddings() -> None:
    findings, _ = planted()
    for measure in ("word2vec_anisotropy", "word2vec_effective_rank"):
        assert [one.layer for one in select(findings.layers, measure, seed=0)] == [0]
    for comparison in findings.comparisons:
        assert comparison.static.layer == 0
        assert comparison.static.measure == f"word2vec_{comparison.task}_accuracy"


def test_layer_is_chosen_on_validation_not_on_test() -> None:
    findings, _ = planted()
    for comparison in findings.comparisons:
        measure = f"{comparison.task}_accuracy"
        by_layer = values(select(findings.layers, measure, split="validation"))
        assert comparison.trained.layer == by_layer.index(max(by_layer))
        assert comparison.trained.split == "test"


def test_measuring_twice_gives_the_same_numbers() -> None:
    again = probe_encoder(planted_encoder(), corpus(), VOCABULARY, CONFIG, Silent())
    first, _ = planted()
    assert again.layers == first.layers
    assert again.heads == first.heads


def test_progress_reaches_its_end() -> None:
    _, report = planted()
    assert [done for done, _ in report.steps] == list(range(1, 49))
    assert report.steps[-1] == (48, 48)


def test_a_task_the_corpus_is_too_small_for_is_left_out_aloud(tmp_path: Path) -> None:
    small = {split: documents[:12] for split, documents in corpus().items()}
    report = Silent()
    config = CONFIG.model_copy(update={"window_tokens": 30})
    findings = probe_encoder(planted_encoder(), small, VOCABULARY, config, report)
    assert findings.omitted == list(TASKS)
    assert len(report.warnings) == len(TASKS)
    assert "bigram_shift" in report.warnings[0]
    figures = draw_figures(findings)
    assert "bigram_shift" not in figures
    write_report(findings, figures, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "too small for the task bigram shift" in page
    assert "bigram_shift_accuracy" not in final_metrics(findings)


def test_tables_are_tidy(tmp_path: Path) -> None:
    findings, _ = planted()
    write_rows(findings.heads, tmp_path / "heads.parquet")
    write_rows(findings.layers, tmp_path / "layers.parquet")
    heads, layers = (pq.read_table(tmp_path / f"{n}.parquet") for n in ("heads", "layers"))
    expected = {
        "measure": pa.string(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "seed": pa.int32(),
        "split": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
    }
    for table in (heads, layers):
        assert dict(zip(table.schema.names, table.schema.types, strict=True)) == expected
        keys = table.select(["measure", "layer", "head", "seed", "split"]).to_pylist()
        assert len({tuple(key.values()) for key in keys}) == len(keys)
    assert layers["head"].null_count == len(layers)
    assert heads["head"].null_count == 0
    assert layers.to_pylist()[5]["value"] == findings.layers[5].value


def test_report_says_what_was_measured(tmp_path: Path) -> None:
    findings, _ = planted()
    figures = draw_figures(findings)
    assert set(LAYER_FIGURES) <= set(figures)
    assert {f"head_{measure}" for measure in HEAD_FIGURES} <= set(figures)
    assert {"layer_similarity", *TASKS} <= set(figures)
    write_report(findings, figures, tmp_path / "a.html")
    write_report(findings, draw_figures(findings), tmp_path / "b.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "b.html").read_text(encoding="utf-8")
    lead = r"Bigram shift: accuracy [01]\.\d+, random weights 0\.\d+; above random weights\."
    assert re.search(lead, page)
    assert findings.comparisons[1].standing in page
    assert f"{findings.sample.num_tokens:,}" in page
    assert "jackknife" in page


def test_metrics_are_flat_floats_with_the_guards_beside() -> None:
    findings, _ = planted()
    metrics = final_metrics(findings)
    assert all(isinstance(value, float) for value in metrics.values())
    assert metrics["bigram_shift_layer"] == PLANTED_LAYER
    assert metrics["bigram_shift_accuracy_low"] > metrics["random_bigram_shift_accuracy_high"]
    assert abs(metrics["control_bigram_shift_accuracy"] - 0.5) < 0.12
    assert {"anisotropy_first_layer", "anisotropy_last_layer", "mean_head_entropy"} <= set(metrics)


@pytest.mark.parametrize(
    ("trained", "random", "words"),
    [
        ((0.8, 0.7, 0.9), (0.6, 0.5, 0.69), "above random weights"),
        ((0.8, 0.7, 0.9), (0.6, 0.5, 0.71), "not distinguishable from random weights"),
        ((0.5, 0.4, 0.6), (0.8, 0.7, 0.9), "below random weights"),
    ],
)
def test_overlap_decides(
    trained: tuple[float, float, float], random: tuple[float, float, float], words: str
) -> None:
    assert standing(row(*trained), row(*random)) == words


def test_seeds_that_disagree_widen_the_interval() -> None:
    def answers(share: float) -> Ratio:
        right = torch.arange(100) % 10 < share * 10
        return mean_of(right[:, None], torch.arange(100) // 10)

    agreeing = ratio_interval([answers(0.6)] * 3)
    differing = ratio_interval([answers(0.5), answers(0.6), answers(0.7)])
    assert float(agreeing.value) == pytest.approx(0.6)
    assert float(differing.value) == pytest.approx(0.6)
    # All variance is between seeds: Student's t with 2 degrees, 4.303 * 0.1 / sqrt(3).
    assert float(differing.high - differing.value) == pytest.approx(0.2484, abs=0.01)
    assert float(agreeing.high - agreeing.low) < 0.01
