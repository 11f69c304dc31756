"""Questions about words of a treebank, for linear probes: labels, and control labels by type.

Letters: W words.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from model.control_tasks import control_labels
from tasks.probe.linear_probes import Question
from tasks.probe.treebank.word_samples import (
    DEPREL,
    UPOS,
    WordSample,
    classes_of,
    classes_W,
    tasks_of,
    types_W,
)

CODED = (UPOS, DEPREL)  # tasks whose code length is measured


def questions(samples: Mapping[str, WordSample], seed: int) -> list[Question]:
    """The tasks that the words can be asked about, in every split."""
    types, num_types = types_W(samples)
    found = [_question(task, samples, types, num_types, seed) for task in tasks_of(samples)]
    return [one for one in found if all(len(labels) for labels in one.labels.values())]


def _question(
    task: str,
    samples: Mapping[str, WordSample],
    types: Mapping[str, Tensor],
    num_types: int,
    seed: int,
) -> Question:
    classes = classes_of(samples["train"], task)
    numbered = {split: classes_W(sample, task, classes) for split, sample in samples.items()}
    asked = {split: numbers >= 0 for split, numbers in numbered.items()}
    labels = {split: numbers[asked[split]] for split, numbers in numbered.items()}
    control_T = control_labels(
        labels["train"], num_types=num_types, num_classes=len(classes), seed=seed
    )
    own = {split: types[split][asked[split]] for split in samples}
    return Question(
        task=task,
        num_classes=len(classes),
        labels=labels,
        asked=asked,
        control={split: control_T[own[split]] for split in samples},
        is_unseen_E=~torch.isin(own["test"], types["train"]),
        is_coded=task in CODED,
    )
