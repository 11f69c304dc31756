"""Linear probes on words of a treebank: what a layer tells of each word, and in how many bits.

Letters: K layers, W words, D hidden width, C classes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.codelength import online_code
from model.control_tasks import control_labels
from model.logistic_probe import choose_logistic, fit_path
from model.whitening import Whitening, fit_whitening
from tasks.probe.ratios import Ratio, mean_of, ratio_rows
from tasks.probe.table import Row
from tasks.probe.treebank.word_samples import (
    DEPREL,
    UPOS,
    WordSample,
    classes_of,
    classes_W,
    tasks_of,
    types_W,
)

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
CODED = (UPOS, DEPREL)  # tasks whose code length is measured
SCORED = ("validation", "test")

States = dict[str, Tensor]  # split -> states_KWD
Key = tuple[str, str]  # measure and split


@dataclass
class Counts:
    """What has been counted so far, by measure and split, then by seed."""

    ratios: dict[Key, dict[int, Ratio]] = field(default_factory=dict)

    def add(self, measure: str, split: str, seed: int, ratio: Ratio) -> None:
        """Put what a seed counted in its place."""
        self.ratios.setdefault((measure, split), {})[seed] = ratio

    def rows(self) -> list[Row]:
        """Rows of everything; shares lie in [0, 1], differences in [-1, 1], others above 0."""
        rows = []
        for (measure, split), by_seed in self.ratios.items():
            rows += ratio_rows(measure, by_seed, split=split, bounds=_bounds(measure))
        return rows


@dataclass(frozen=True)
class Question:
    """One task on one seed's words.

    Attributes:
        task: its name.
        num_classes: C.
        labels: by split, the class of each word that has one.
        asked: by split, which words have one: bool [W].
        is_unseen_W: of test's words that have one, whether train lacks their type.
        control: by split, the control task's classes of the same words.
    """

    task: str
    num_classes: int
    labels: Mapping[str, Tensor]
    asked: Mapping[str, Tensor]
    is_unseen_W: Tensor
    control: Mapping[str, Tensor]


def questions(samples: Mapping[str, WordSample], seed: int) -> list[Question]:
    """The tasks that the words can be asked about, in every split."""
    types, num_types = types_W(samples)
    found = [_question(task, samples, types, num_types, seed) for task in tasks_of(samples)]
    return [one for one in found if all(len(labels) for labels in one.labels.values())]


def probe_words(
    states: States,
    samples: Mapping[str, WordSample],
    asked: Sequence[Question],
    counts: Counts,
    *,
    prefix: str,
    seed: int,
    with_control: bool,
) -> None:
    """Fit, choose and score the probes of one system and seed in every layer.

    Adds `<task>_accuracy` on validation and test; on test `<task>_unseen_accuracy`, of words whose
    type was not fitted on; `<task>_compression` and `<task>_gain` of train's labels; and, with
    `with_control`, `control_<task>_accuracy` and `<task>_selectivity`.

    Args:
        states: by split, float32 [K, W, D].
        samples: the words.
        asked: the tasks.
        counts: gets what was counted.
        prefix: goes before the measures' names.
        seed: of the order in which labels are told.
        with_control: whether to fit the control tasks too.
    """
    layers = [
        _Layer.fitted({split: states_KWD[layer] for split, states_KWD in states.items()})
        for layer in range(len(states["train"]))
    ]
    for one in asked:
        documents = {split: samples[split].document_W[one.asked[split]] for split in samples}
        right = _right(layers, one, one.labels)
        for split in SCORED:
            counts.add(
                f"{prefix}{one.task}_accuracy", split, seed, mean_of(right[split], documents[split])
            )
        if one.is_unseen_W.any():
            unseen = mean_of(right["test"][one.is_unseen_W], documents["test"][one.is_unseen_W])
            counts.add(f"{prefix}{one.task}_unseen_accuracy", "test", seed, unseen)
        if one.task in CODED:
            _code(layers, one, documents["train"], counts, prefix=prefix, seed=seed)
        if with_control:
            control = _right(layers, one, one.control)
            for split in SCORED:
                counts.add(
                    f"control_{prefix}{one.task}_accuracy",
                    split,
                    seed,
                    mean_of(control[split], documents[split]),
                )
            difference = right["test"].double() - control["test"].double()
            counts.add(
                f"{prefix}{one.task}_selectivity",
                "test",
                seed,
                mean_of(difference, documents["test"]),
            )


@dataclass(frozen=True)
class _Layer:
    """A layer's whitened states of the words of each split."""

    inputs: Mapping[str, Tensor]

    @classmethod
    def fitted(cls, states: Mapping[str, Tensor]) -> "_Layer":
        whitening: Whitening = fit_whitening(states["train"])
        return cls({split: whitening.apply(states_WD) for split, states_WD in states.items()})

    def of(self, split: str, question: Question) -> Tensor:
        return self.inputs[split][question.asked[split].to(self.inputs[split].device)]


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
        is_unseen_W=~torch.isin(own["test"], types["train"]),
        control={split: control_T[own[split]] for split in samples},
    )


def _right(
    layers: Sequence[_Layer], question: Question, labels: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Which words of validation and test the chosen probe of each layer is right on: [W, K]."""
    right: dict[str, list[Tensor]] = {split: [] for split in SCORED}
    for layer in layers:
        inputs = {split: layer.of(split, question) for split in layer.inputs}
        own = {split: values.to(inputs[split].device) for split, values in labels.items()}
        path = fit_path(
            inputs["train"], own["train"], num_classes=question.num_classes, strengths=STRENGTHS
        )
        probe = choose_logistic(path, inputs["validation"], own["validation"])
        for split in SCORED:
            right[split].append((probe.predict(inputs[split]) == own[split]).cpu())
    return {split: torch.stack(found, dim=1) for split, found in right.items()}


def _code(
    layers: Sequence[_Layer],
    question: Question,
    document_W: Tensor,
    counts: Counts,
    *,
    prefix: str,
    seed: int,
) -> None:
    codes = []
    for layer in layers:
        inputs_WD = layer.of("train", question)
        labels = {split: own.to(inputs_WD.device) for split, own in question.labels.items()}
        codes.append(
            online_code(
                inputs_WD,
                labels["train"],
                document_W.to(inputs_WD.device),
                (layer.of("validation", question), labels["validation"]),
                num_classes=question.num_classes,
                seed=seed,
                strengths=STRENGTHS,
            )
        )
    bits_WK = torch.stack([one.bits_N for one in codes], dim=1)
    shares_WK = torch.stack([one.share_bits_N for one in codes], dim=1)
    uniform_WK = torch.full_like(bits_WK, math.log2(question.num_classes))
    for name, above_WK in (("compression", uniform_WK), ("gain", shares_WK)):
        measure = f"{prefix}{question.task}_{name}"
        counts.add(measure, "train", seed, Ratio(above_WK, bits_WK, document_W))


def _bounds(measure: str) -> tuple[float, float]:
    if measure.endswith("_selectivity"):
        return -1.0, 1.0
    if measure.endswith(("_compression", "_gain")):
        return 0.0, math.inf
    return (-1.0, 1.0) if measure.endswith("spearman") else (0.0, 1.0)
