"""Linear probes that also tell in how many bits: what each layer says of words, or of documents.

Fitted on train, strength chosen on validation, scored on test. Letters: K layers, E examples,
D hidden width, C classes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.codelength import online_code
from model.logistic_probe import choose_logistic, fit_path
from model.whitening import Whitening, fit_whitening
from tasks.probe.ratios import Ratio, mean_of, ratio_rows
from tasks.probe.table import Row

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
SCORED = ("validation", "test")

States = dict[str, Tensor]  # split -> states_KED
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
    """One task on one seed's words or documents.

    Attributes:
        task: its name.
        num_classes: C.
        labels: by split, the class of each example that has one.
        asked: by split, which examples have one: bool [E].
        control: by split, the control task's classes of the same examples.
        is_unseen_E: of test's examples that have one, whether train lacks their type; None where
            examples have no types.
        is_coded: whether the code length of train's labels is measured.
        is_control_coded: whether that of the control task's is.
        strengths: of penalties to choose from.
    """

    task: str
    num_classes: int
    labels: Mapping[str, Tensor]
    asked: Mapping[str, Tensor]
    control: Mapping[str, Tensor]
    is_unseen_E: Tensor | None = None
    is_coded: bool = False
    is_control_coded: bool = False
    strengths: Sequence[float] = STRENGTHS


def ask(
    states: States,
    documents: Mapping[str, Tensor],
    asked: Sequence[Question],
    counts: Counts,
    *,
    prefix: str,
    seed: int,
    with_control: bool,
) -> None:
    """Fit, choose and score the probes of one system and seed in every layer.

    Adds `<task>_accuracy` on validation and test; on test `<task>_unseen_accuracy`, of examples
    whose type was not fitted on; where a question is coded, `<task>_compression` and `<task>_gain`
    of train's labels; and, with `with_control`, `control_<task>_accuracy` and
    `<task>_selectivity`.

    Args:
        states: by split, float32 [K, E, D].
        documents: by split, the document of each example: int64 [E].
        asked: the tasks.
        counts: gets what was counted.
        prefix: goes before the measures' names.
        seed: of the order in which labels are told.
        with_control: whether to fit the control tasks too.
    """
    layers = [
        _Layer.fitted({split: states_KED[layer] for split, states_KED in states.items()})
        for layer in range(len(states["train"]))
    ]
    for one in asked:
        own = {split: document_E[one.asked[split]] for split, document_E in documents.items()}
        right = _right(layers, one, one.labels)
        _count_right(right, f"{prefix}{one.task}", own, counts, seed=seed)
        if one.is_unseen_E is not None and one.is_unseen_E.any():
            unseen = mean_of(right["test"][one.is_unseen_E], own["test"][one.is_unseen_E])
            counts.add(f"{prefix}{one.task}_unseen_accuracy", "test", seed, unseen)
        if one.is_coded:
            code = _code(layers, one, one.labels, own["train"], seed=seed)
            _count_code(code, f"{prefix}{one.task}", counts, seed=seed)
        if with_control:
            control = _right(layers, one, one.control)
            _count_right(control, f"control_{prefix}{one.task}", own, counts, seed=seed)
            difference = right["test"].double() - control["test"].double()
            selectivity = mean_of(difference, own["test"])
            counts.add(f"{prefix}{one.task}_selectivity", "test", seed, selectivity)
        if with_control and one.is_control_coded:
            code = _code(layers, one, one.control, own["train"], seed=seed)
            _count_code(code, f"control_{prefix}{one.task}", counts, seed=seed)


def _count_right(
    right: Mapping[str, Tensor],
    name: str,
    documents: Mapping[str, Tensor],
    counts: Counts,
    *,
    seed: int,
) -> None:
    for split, right_EK in right.items():
        counts.add(f"{name}_accuracy", split, seed, mean_of(right_EK, documents[split]))


def _count_code(code: Mapping[str, Ratio], name: str, counts: Counts, *, seed: int) -> None:
    for measure, ratio in code.items():
        counts.add(f"{name}_{measure}", "train", seed, ratio)


@dataclass(frozen=True)
class _Layer:
    """A layer's whitened states of the examples of each split."""

    inputs: Mapping[str, Tensor]

    @classmethod
    def fitted(cls, states: Mapping[str, Tensor]) -> "_Layer":
        whitening: Whitening = fit_whitening(states["train"])
        return cls({split: whitening.apply(states_ED) for split, states_ED in states.items()})

    def of(self, split: str, question: Question) -> Tensor:
        return self.inputs[split][question.asked[split].to(self.inputs[split].device)]


def _right(
    layers: Sequence[_Layer], question: Question, labels: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Which examples of validation and test the chosen probe of each layer gets right: [E, K]."""
    right: dict[str, list[Tensor]] = {split: [] for split in SCORED}
    for layer in layers:
        inputs = {split: layer.of(split, question) for split in layer.inputs}
        own = {split: values.to(inputs[split].device) for split, values in labels.items()}
        path = fit_path(
            inputs["train"],
            own["train"],
            num_classes=question.num_classes,
            strengths=question.strengths,
        )
        probe = choose_logistic(path, inputs["validation"], own["validation"])
        for split in SCORED:
            right[split].append((probe.predict(inputs[split]) == own[split]).cpu())
    return {split: torch.stack(found, dim=1) for split, found in right.items()}


def _code(
    layers: Sequence[_Layer],
    question: Question,
    labels: Mapping[str, Tensor],
    document_E: Tensor,
    *,
    seed: int,
) -> dict[str, Ratio]:
    """Bits of the even code and of the code by shares, each over those of the online code."""
    codes = []
    for layer in layers:
        inputs_ED = layer.of("train", question)
        own = {split: values.to(inputs_ED.device) for split, values in labels.items()}
        codes.append(
            online_code(
                inputs_ED,
                own["train"],
                document_E.to(inputs_ED.device),
                (layer.of("validation", question), own["validation"]),
                num_classes=question.num_classes,
                seed=seed,
                strengths=question.strengths,
            )
        )
    bits_EK = torch.stack([one.bits_N for one in codes], dim=1)
    shares_EK = torch.stack([one.share_bits_N for one in codes], dim=1)
    uniform_EK = torch.full_like(bits_EK, math.log2(question.num_classes))
    return {
        "compression": Ratio(uniform_EK, bits_EK, document_E),
        "gain": Ratio(shares_EK, bits_EK, document_E),
    }


def _bounds(measure: str) -> tuple[float, float]:
    if measure.endswith("_selectivity"):
        return -1.0, 1.0
    if measure.endswith(("_compression", "_gain")):
        return 0.0, math.inf
    return (-1.0, 1.0) if measure.endswith("spearman") else (0.0, 1.0)
