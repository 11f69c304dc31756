"""Linear probes on every layer: trained weights, random weights, shuffled labels, several seeds.

Fitted on the train split, strength chosen on validation, scored on test; so no document serves
two purposes. Letters: K layers, E examples, D hidden width, F features, G groups, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.probes import choose_probe, fit_probes, shuffle_labels
from tasks.probe.examples import Draw, Examples
from tasks.probe.observe import Observable, mean_states
from tasks.probe.ratios import mean_of, ratio_rows
from tasks.probe.sample import Tokens
from tasks.probe.table import Row

SPLITS = ("train", "validation", "test")
SCORED = ("validation", "test")
MIN_EXAMPLES = 20


@dataclass(frozen=True)
class Answers:
    """Which examples a probe of each layer got right.

    Attributes:
        right_EK: bool.
        document_E: int64, the document of each example.
    """

    right_EK: Tensor
    document_E: Tensor


def draw_examples(
    draw: Draw,
    documents: Mapping[str, Sequence[Tokens]],
    *,
    num_examples: int,
    window_tokens: int,
    seed: Sequence[int],
) -> dict[str, Examples]:
    """Examples of one task for each split: `num_examples` to fit on, half as many elsewhere."""
    counts = {"train": num_examples, "validation": num_examples // 2, "test": num_examples // 2}
    return {
        split: draw(
            documents[split], counts[split], window_tokens, np.random.default_rng([*seed, index])
        )
        for index, split in enumerate(SPLITS)
    }


def can_probe(examples: dict[str, Examples]) -> bool:
    """Whether every split holds enough examples, two of each class, from several documents."""
    return all(
        len(drawn.labels_E) >= max(MIN_EXAMPLES, 2 * drawn.num_classes) and drawn.num_documents > 1
        for drawn in examples.values()
    )


def features_of(encoder: Observable, examples: dict[str, Examples]) -> dict[str, Tensor]:
    """Features of the examples of each split: float32 [K, E, F].

    A window is the mean of its tokens' states; a pair is the absolute difference and the product
    of its two windows' means.
    """
    features = {}
    for split, drawn in examples.items():
        parts = [mean_states(encoder, windows) for windows in drawn.parts]
        if len(parts) == 1:
            features[split] = parts[0]
        else:
            first, second = parts
            features[split] = torch.cat([(first - second).abs(), first * second], dim=-1)
    return features


def answer(
    features: dict[str, Tensor], examples: dict[str, Examples], *, shuffle_seed: int | None = None
) -> dict[str, Answers]:
    """Fit and choose a probe for every layer; what it gets right on validation and test.

    With `shuffle_seed` the labels of every split are dealt anew: the control.
    """
    device, num_classes = features["train"].device, examples["train"].num_classes
    labels = {split: torch.from_numpy(drawn.labels_E) for split, drawn in examples.items()}
    if shuffle_seed is not None:
        labels = {split: shuffle_labels(own, seed=shuffle_seed) for split, own in labels.items()}
    labels = {split: own.to(device) for split, own in labels.items()}
    right: dict[str, list[Tensor]] = {split: [] for split in SCORED}
    for layer in range(len(features["train"])):
        probes = fit_probes(features["train"][layer], labels["train"], num_classes=num_classes)
        probe = choose_probe(probes, features["validation"][layer], labels["validation"])
        for split in SCORED:
            right[split].append(probe.predict(features[split][layer]) == labels[split])
    owners = {split: torch.from_numpy(examples[split].document_E) for split in SCORED}
    return {split: Answers(torch.stack(right[split], 1).cpu(), owners[split]) for split in SCORED}


def accuracy_rows(measure: str, answers: Mapping[int, Mapping[str, Answers]]) -> list[Row]:
    """Rows of one system on one task: for each split every seed's, then that over all seeds.

    Args:
        measure: the rows' name.
        answers: by seed, then by split.
    """
    rows = []
    for split in SCORED:
        shares = {
            seed: mean_of(scored[split].right_EK, scored[split].document_E)
            for seed, scored in answers.items()
        }
        rows += ratio_rows(measure, shares, split=split)
    return rows
