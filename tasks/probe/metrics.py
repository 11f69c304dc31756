"""The few numbers of a probe run that trackers and terminals show."""

import math
from collections.abc import Sequence

from tasks.probe.ablation import ABLATION_LOSS
from tasks.probe.findings import Findings
from tasks.probe.label_probes import ACCURACY, DOCUMENT_LABEL, MAJORITY, LabelProbes
from tasks.probe.masked_loss import LOSS, UNIGRAM
from tasks.probe.page.grammar_page import chosen
from tasks.probe.table import Row, select
from tasks.probe.treebank.grammar import Grammar
from tasks.probe.treebank.tree_probes import HEAD_FOUND, UUAS
from tasks.stage import Metrics


def final_metrics(findings: Findings) -> Metrics:
    """Flat names and finite floats; first layer = the embeddings.

    What the sample cannot tell (no token twice, states that do not vary) is left out.
    """
    metrics: Metrics = {
        "num_documents": float(len(findings.sample.documents)),
        "num_tokens": float(findings.sample.num_tokens),
    }
    for comparison in findings.comparisons:
        for prefix, row in (
            ("", comparison.trained),
            ("random_", comparison.random),
            ("control_", comparison.control),
            ("word2vec_", comparison.static),
        ):
            name = f"{prefix}{comparison.task}_accuracy"
            metrics |= {name: row.value, f"{name}_low": row.low, f"{name}_high": row.high}
        metrics[f"{comparison.task}_layer"] = float(comparison.trained.layer)
        metrics[f"{comparison.task}_selectivity"] = comparison.selectivity
    for measure in ("anisotropy", "self_similarity_adjusted", "effective_rank"):
        rows = select(findings.layers, measure)
        metrics[f"{measure}_first_layer"] = rows[0].value
        metrics[f"{measure}_last_layer"] = rows[-1].value
    metrics["cka_first_last_layer"] = select(findings.layers, "cka_with_layer_0")[-1].value
    for measure in ("entropy", "distance"):
        metrics[f"mean_head_{measure}"] = _mean(select(findings.heads, measure))
    if findings.guessing is not None:
        metrics |= _guessing_metrics(findings)
    if isinstance(findings.labels, LabelProbes):
        metrics |= _label_metrics(findings.labels)
    if findings.grammar is not None:
        metrics |= _grammar_metrics(findings.grammar)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _guessing_metrics(findings: Findings) -> Metrics:
    losses = select(findings.layers, LOSS)
    heads = select(findings.heads, ABLATION_LOSS)
    return {
        "masked_loss_first_layer": losses[0].value,
        "masked_loss_last_layer": losses[-1].value,
        "unigram_masked_loss": select(findings.layers, UNIGRAM + LOSS)[0].value,
        "num_heads_that_help": float(sum(row.low > 0 for row in heads)),
        "largest_ablation_loss": max(row.value for row in heads),
    }


def _label_metrics(labels: LabelProbes) -> Metrics:
    """Of each system the test value at the layer that did best on validation."""
    metrics: Metrics = {}
    for prefix in ("", "random_", "control_", "word2vec_", MAJORITY):
        name, row = prefix + ACCURACY, chosen(labels.layers, prefix + ACCURACY)
        metrics |= {name: row.value, f"{name}_low": row.low, f"{name}_high": row.high}
    best = chosen(labels.layers, ACCURACY).layer
    metrics[f"{DOCUMENT_LABEL}_layer"] = float(best)
    for name in ("selectivity", "compression", "gain"):
        measure = f"{DOCUMENT_LABEL}_{name}"
        metrics[measure] = select(labels.layers, measure)[best].value
    return metrics


def _grammar_metrics(grammar: Grammar) -> Metrics:
    """Of each probe the test value at the layer that did best on validation, and that layer."""
    metrics: Metrics = {}
    for measure in (*(f"{task}_accuracy" for task in grammar.tasks), HEAD_FOUND, UUAS):
        for prefix in ("", "random_", "word2vec_"):
            metrics[prefix + measure] = chosen(grammar.layers, prefix + measure).value
        metrics[f"{measure}_layer"] = float(chosen(grammar.layers, measure).layer)
    metrics["num_relations"] = float(len(grammar.relations))
    metrics["num_relations_followed"] = float(
        sum(one.is_beyond_offset for one in grammar.relations)
    )
    return metrics


def _mean(rows: Sequence[Row]) -> float:
    return sum(row.value for row in rows) / len(rows)
