"""What each layer tells of a document's label: linear probes on the documents' mean states.

Letters: K layers, E documents, P windows, D hidden width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.intervals import sum_by_group
from model.probes import shuffle_labels
from tasks.probe.labelled_documents import LabelSample
from tasks.probe.linear_probes import SCORED, Counts, Question, ask
from tasks.probe.observe import Observable, mean_states
from tasks.probe.ratios import mean_of
from tasks.probe.sample import Tokens
from tasks.probe.table import Row

DOCUMENT_LABEL = "document_label"
ACCURACY = f"{DOCUMENT_LABEL}_accuracy"
MAJORITY = "majority_"
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # documents are few, so penalties may be large


@dataclass(frozen=True, kw_only=True)
class LabelProbes:
    """What was measured.

    Attributes:
        layers: rows of the probes.
        num_classes: labels, by the first seed.
        num_documents: of each split, by that seed.
        num_unknown: documents left out, as none of train's has their label.
        num_cut: documents longer than what was read of them.
        max_tokens: leading tokens that were read of each.
    """

    layers: list[Row]
    num_classes: int
    num_documents: dict[str, int]
    num_unknown: int
    num_cut: int
    max_tokens: int


def probe_labels(
    encoder: Observable,
    static: Observable,
    random: Callable[[int], Observable],
    drawn: Mapping[int, LabelSample],
    *,
    max_tokens: int,
    on_system: Callable[[], None],
) -> LabelProbes:
    """Classify the encoder's, static and random-weights vectors of the same documents, by seed.

    Rows: `document_label_accuracy` on validation and test, also with `random_`, `word2vec_` and
    `control_` (labels dealt anew) before it; `majority_document_label_accuracy`, of who always
    says train's most frequent label (layer 0); `document_label_selectivity` on test; and
    `document_label_compression` and `_gain` of train's labels, with the same prefixes.

    Args:
        encoder: in evaluation mode.
        static: vectors that no context reaches.
        random: the encoder with fresh weights of a seed.
        drawn: the documents of each seed.
        max_tokens: that they were cut to.
        on_system: is called after each system of each seed.
    """
    counts = Counts()
    for seed, sample in drawn.items():
        _count_majority(sample, counts, seed)
        systems = {"": encoder, "random_": random(seed), "word2vec_": static}
        for prefix, system in systems.items():
            states = {
                split: document_states(system, one.tokens) for split, one in sample.splits.items()
            }
            ask(
                states,
                {split: one.document_E for split, one in sample.splits.items()},
                [_question(sample, seed)],
                counts,
                prefix=prefix,
                seed=seed,
                with_control=not prefix,
            )
            on_system()
    first = next(iter(drawn.values()))
    return LabelProbes(
        layers=counts.rows(),
        num_classes=first.num_classes,
        num_documents={split: len(one.tokens) for split, one in first.splits.items()},
        num_unknown=first.num_unknown,
        num_cut=first.num_cut,
        max_tokens=max_tokens,
    )


def document_states(encoder: Observable, documents: Sequence[Tokens]) -> Tensor:
    """The mean state of each document's tokens in every layer: float32 [K, E, D].

    A document that is longer than the encoder's window is read in windows end to end; every token
    counts once, whichever window it is in.

    Args:
        encoder: in evaluation mode.
        documents: token ids without special tokens; none is empty.
    """
    window_tokens = encoder.config.max_position_embeddings - 2  # beside [CLS] and [SEP]
    pieces = [
        (number, document[start : start + window_tokens])
        for number, document in enumerate(documents)
        for start in range(0, len(document), window_tokens)
    ]
    mean_PKD = mean_states(encoder, [piece for _, piece in pieces]).transpose(0, 1)
    owner_P = torch.tensor([number for number, _ in pieces], device=mean_PKD.device)
    length_P11 = mean_PKD.new_tensor([len(piece) for _, piece in pieces])[:, None, None]
    sum_EKD = sum_by_group(mean_PKD * length_P11, owner_P, len(documents))
    length_E11 = sum_EKD.new_tensor([len(document) for document in documents])[:, None, None]
    return (sum_EKD / length_E11).transpose(0, 1).float().contiguous()


def _question(sample: LabelSample, seed: int) -> Question:
    labels = {split: one.labels_E for split, one in sample.splits.items()}
    return Question(
        task=DOCUMENT_LABEL,
        num_classes=sample.num_classes,
        labels=labels,
        asked={split: torch.ones(len(own), dtype=torch.bool) for split, own in labels.items()},
        control={split: shuffle_labels(own, seed=seed) for split, own in labels.items()},
        is_coded=True,
        is_control_coded=True,
        strengths=STRENGTHS,
    )


def _count_majority(sample: LabelSample, counts: Counts, seed: int) -> None:
    most_frequent = sample.splits["train"].labels_E.bincount().argmax()
    for split in SCORED:
        own = sample.splits[split]
        right_E1 = (own.labels_E == most_frequent)[:, None]
        counts.add(MAJORITY + ACCURACY, split, seed, mean_of(right_E1, own.document_E))
