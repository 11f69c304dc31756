"""Online code length: how few bits tell labels to one who has the features.

It joins how well a property can be read with how many examples that takes, so it tells trained
encoders from untrained ones where accuracies are alike.

Letters: N examples, D features, P portions.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.logistic_probe import STRENGTHS, choose_logistic, class_shares, fit_path

FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
LEAST_EXAMPLES = 20


@dataclass(frozen=True)
class OnlineCode:
    """What it costs to tell the labels, example by example.

    The per-example costs allow for sums by document, hence intervals (`model.intervals`): both
    ratios below are functions of sums. Such an interval holds the probes as they are; the spread
    over seeds shows what the order does.

    Attributes:
        num_classes: C.
        bits_N: float64, what each label cost, in the order the examples were given.
        share_bits_N: float64, the same had every probe been one without weights, which only
            knows the classes' shares among what came before.
        ends_P: int64, how many examples had been told after each portion.
        strengths: the strength chosen for each portion but the first.
    """

    num_classes: int
    bits_N: Tensor
    share_bits_N: Tensor
    ends_P: Tensor
    strengths: tuple[float, ...]

    @property
    def compression(self) -> float:
        """How many times longer the code is that gives all classes the same length."""
        return float(compression(self.bits_N.sum(), len(self.bits_N), self.num_classes))

    @property
    def gain(self) -> float:
        """How many times longer the code is that knows shares only: 1 if features tell nothing.

        Unlike `compression` it is not above 1 merely because some classes are frequent.
        """
        return float(self.share_bits_N.sum() / self.bits_N.sum())


def compression(bits: Tensor, num_examples: Tensor | int, num_classes: int) -> Tensor:
    """Bits of the uniform code over bits of the online code: n log2(C) / L."""
    return num_examples * math.log2(num_classes) / bits


def online_code(
    inputs_ND: Tensor,
    labels_N: Tensor,
    document_N: Tensor,
    choosing: tuple[Tensor, Tensor],
    *,
    num_classes: int,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
    fractions: Sequence[float] = FRACTIONS,
) -> OnlineCode:
    """Tell labels portion by portion, each by the probe fitted on all portions before it.

    The first portion costs log2(C) bits a label. Documents come in an order drawn from `seed`,
    and a portion ends where a document ends, so no document helps to tell its own labels.

    Args:
        inputs_ND: float32, whitened features. Both ends of the line have all of them, so the
            whitening may be fitted on all.
        labels_N: int64 in [0, num_classes), where the features are.
        document_N: int64, the document of each example.
        choosing: features and labels of the split that each portion's strength is chosen on;
            both ends have it and it is not counted.
        num_classes: C, at least 2.
        seed: of the order of documents.
        strengths: as for `fit_path`.
        fractions: where portions end, rising up to 1; see `portion_ends` for those left out.

    Source: Voita and Titov 2020, section 3.2 (arXiv 2003.12298).
    Cost: the probes are fitted on as many examples together as there are, once for each strength
    tried: about that of one `fit_path`, so 2 s on one core for 15,000 examples of 384 features
    and 17 classes.
    """
    order_N = document_order(document_N, seed=seed)
    inputs_ND, labels_N = inputs_ND[order_N], labels_N[order_N]
    ends = portion_ends(document_N[order_N], labels_N, fractions)
    bits_N = torch.full((len(labels_N),), math.log2(num_classes), dtype=torch.float64)
    share_bits_N, chosen = bits_N.clone(), []
    for start, end in itertools.pairwise(ends):
        known, told = slice(0, start), slice(start, end)
        path = fit_path(
            inputs_ND[known], labels_N[known], num_classes=num_classes, strengths=strengths
        )
        probe = choose_logistic(path, *choosing)
        share_C = class_shares(labels_N[known], num_classes)
        bits_N[told] = probe.losses(inputs_ND[told], labels_N[told]).cpu() / math.log(2)
        share_bits_N[told] = -share_C.log2()[labels_N[told]].cpu()
        chosen.append(probe.strength)
    back_N = order_N.cpu().argsort()
    return OnlineCode(
        num_classes, bits_N[back_N], share_bits_N[back_N], torch.tensor(ends), tuple(chosen)
    )


def document_order(document_N: Tensor, *, seed: int) -> Tensor:
    """Places of the examples, documents in an order drawn from `seed`: int64 [N].

    Examples of one document stay together and in their order.
    """
    documents, own_N = torch.unique(document_N.cpu(), return_inverse=True)
    rank = torch.from_numpy(np.random.default_rng(seed).permutation(len(documents)))
    return rank[own_N].argsort(stable=True).to(document_N.device)


def portion_ends(
    document_N: Tensor,
    labels_N: Tensor,
    fractions: Sequence[float],
    *,
    least_examples: int = LEAST_EXAMPLES,
) -> list[int]:
    """Where portions end: at the first end of a document at or after each fraction.

    A portion of fewer than `least_examples` is merged with the next (the last with the one
    before it), and so is a first portion with a single class. A class that comes later for the
    first time needs no merging: probes keep some probability for it.

    Args:
        document_N: int64, examples in the order they are told.
        labels_N: int64, theirs.
        fractions: rising, the last one 1.
        least_examples: at least 1.
    """
    num = len(document_N)
    assert num > 0, "there is something to tell"
    is_end_N = torch.ones(num, dtype=torch.bool)
    is_end_N[:-1] = (document_N[1:] != document_N[:-1]).cpu()
    end_E = is_end_N.nonzero()[:, 0] + 1
    wanted = torch.tensor([min(num, math.ceil(fraction * num)) for fraction in fractions])
    first_other = int((labels_N != labels_N[0]).cpu().long().argmax())
    kept: list[int] = []
    for end in sorted(set(end_E[torch.searchsorted(end_E, wanted)].tolist())):
        is_large = end - (kept[-1] if kept else 0) >= least_examples
        if is_large and num - end >= least_examples and 0 < first_other < end:
            kept.append(end)
    return [*kept, num]
