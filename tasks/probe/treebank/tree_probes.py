"""Probes for the trees of a treebank: the head of each word, and distances between words.

Letters: K layers, W words, A sentences, D hidden width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from model.edge_probe import fit_edge_probe, heads_found
from model.fixed_offsets import offsets_right
from model.structural_probe import (
    TreeScores,
    fit_structural_probe,
    length_shares,
    score_chain,
    score_structural_probe,
)
from model.whitening import fit_whitening
from tasks.probe.linear_probes import SCORED, Counts, States
from tasks.probe.ratios import Ratio, mean_of
from tasks.probe.treebank.word_samples import WordSample

HEAD_FOUND, UUAS, SPEARMAN = "head_found_accuracy", "tree_uuas", "tree_spearman"
OFFSET, CHAIN = "offset_", "chain_"


def probe_trees(
    states: States,
    samples: Mapping[str, WordSample],
    counts: Counts,
    *,
    prefix: str,
    seed: int,
) -> None:
    """Fit and score both probes of one system and seed in every layer.

    Adds `head_found_accuracy` (unlabelled attachment, each word by itself), `tree_uuas`
    (undirected, punctuation left out) and `tree_spearman` (the mean over sentence lengths), on
    validation and test.

    Args:
        states: by split, float32 [K, W, D].
        samples: the words.
        counts: gets what was counted.
        prefix: goes before the measures' names.
        seed: of the probes' first weights and batches.
    """
    found: dict[str, list[Tensor]] = {split: [] for split in SCORED}
    trees: dict[str, list[TreeScores]] = {split: [] for split in SCORED}
    train = samples["train"]
    for layer in range(len(states["train"])):
        whitening = fit_whitening(states["train"][layer])
        own = {split: whitening.apply(states_KWD[layer]) for split, states_KWD in states.items()}
        fitting = (own["train"], train.head_W.to(own["train"].device), train.length_A)
        edge = fit_edge_probe(*fitting, seed=seed)
        distance = fit_structural_probe(*fitting, seed=seed)
        for split in SCORED:
            sample = samples[split]
            heads_W = heads_found(edge, own[split], sample.length_A).cpu()
            found[split].append(heads_W == sample.head_W)
            trees[split].append(
                score_structural_probe(
                    distance,
                    own[split],
                    sample.head_W.to(own[split].device),
                    sample.length_A,
                    is_kept_N=~sample.is_punctuation_W.to(own[split].device),
                )
            )
    for split in SCORED:
        sample = samples[split]
        right_WK = torch.stack(found[split], dim=1)
        counts.add(prefix + HEAD_FOUND, split, seed, mean_of(right_WK, sample.document_W))
        _add_trees(trees[split], sample, counts, prefix=prefix, split=split, seed=seed)


def baselines(samples: Mapping[str, WordSample], counts: Counts, *, seed: int) -> None:
    """What one reaches who knows the order of words alone; rows say layer 0.

    `offset_head_found_accuracy`: the head is always so many words away, as suits train best.
    `chain_tree_uuas`, `chain_tree_spearman`: each word is joined to the next.
    """
    train = samples["train"]
    best = int(offsets_right(train.head_W, train.length_A).sum(0).argmax())
    for split in SCORED:
        sample = samples[split]
        right_W1 = offsets_right(sample.head_W, sample.length_A)[:, best : best + 1]
        counts.add(OFFSET + HEAD_FOUND, split, seed, mean_of(right_W1, sample.document_W))
        chain = score_chain(sample.head_W, sample.length_A, is_kept_N=~sample.is_punctuation_W)
        _add_trees([chain], sample, counts, prefix=CHAIN, split=split, seed=seed)


def _add_trees(
    scores: list[TreeScores],
    sample: WordSample,
    counts: Counts,
    *,
    prefix: str,
    split: str,
    seed: int,
) -> None:
    right_AK = torch.stack([one.right_A for one in scores], dim=1).cpu()
    edges_AK = torch.stack([one.edges_A for one in scores], dim=1).cpu()
    counts.add(prefix + UUAS, split, seed, Ratio(right_AK, edges_AK, sample.document_A))
    correlation_AK = torch.stack([one.correlation_A for one in scores], dim=1).cpu()
    is_counted_A = correlation_AK.isfinite().all(1)
    if not is_counted_A.any():
        return
    share_A1 = length_shares(sample.length_A[is_counted_A])[:, None]
    counted = Ratio(
        correlation_AK[is_counted_A] * share_A1, share_A1, sample.document_A[is_counted_A]
    )
    counts.add(prefix + SPEARMAN, split, seed, counted)
