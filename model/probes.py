"""Linear probes: what can be read off hidden states by one linear map, and its control.

The map is fitted in closed form (ridge regression onto one-hot labels), so a probe is exact,
repeatable and has no training settings but one strength, chosen on its own split.

Letters: N examples, D features, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear map from features to class scores.

    Attributes:
        strength: the ridge penalty it was fitted with, relative to standardized features.
        mean_D: feature means of the fitting examples.
        scale_D: their standard deviations (1 where a feature is constant).
        weight_DC: the map on standardized features.
        bias_C: the class shares.
    """

    strength: float
    mean_D: Tensor
    scale_D: Tensor
    weight_DC: Tensor
    bias_C: Tensor

    def predict(self, features_ND: Tensor) -> Tensor:
        """The class of each example, int64 [N]; the first of equal scores."""
        standard_ND = (features_ND.double() - self.mean_D) / self.scale_D
        return (standard_ND @ self.weight_DC + self.bias_C).argmax(1)


def fit_probes(
    features_ND: Tensor,
    labels_N: Tensor,
    *,
    num_classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> list[LinearProbe]:
    """Fit one probe for each strength; all come from a single eigendecomposition.

    Minimises ``|X W - Y|^2 / N + strength * |W|^2`` with X standardized and Y one-hot labels
    minus the class shares. For two classes its direction is that of linear discriminant
    analysis with a shrunk covariance.

    Args:
        features_ND: float, the fitting examples.
        labels_N: int64 in [0, num_classes).
        num_classes: C.
        strengths: ridge penalties, all positive.

    Source: Hastie, Tibshirani and Friedman 2009, sections 3.4.1 and 4.2. Cost: O(N D^2 + D^3).
    """
    features = features_ND.double()
    mean_D, deviation_D = features.mean(0), features.std(0, correction=0)
    scale_D = torch.where(deviation_D > 0, deviation_D, 1.0)
    standard_ND = (features - mean_D) / scale_D
    target_NC = torch.nn.functional.one_hot(labels_N, num_classes).double()
    bias_C = target_NC.mean(0)
    variance_D, basis_DD = torch.linalg.eigh(standard_ND.T @ standard_ND / len(features))
    projected_DC = basis_DD.T @ (standard_ND.T @ (target_NC - bias_C)) / len(features)
    return [
        LinearProbe(
            strength,
            mean_D,
            scale_D,
            basis_DD @ (projected_DC / (variance_D.clamp_min(0) + strength)[:, None]),
            bias_C,
        )
        for strength in strengths
    ]


def choose_probe(
    probes: Sequence[LinearProbe], features_ND: Tensor, labels_N: Tensor
) -> LinearProbe:
    """The probe most often right on a split kept for choosing; of equals the most penalised."""

    def num_right(probe: LinearProbe) -> int:
        return int((probe.predict(features_ND) == labels_N).sum())

    return max(probes, key=lambda probe: (num_right(probe), probe.strength))


def shuffle_labels(labels_N: Tensor, *, seed: int) -> Tensor:
    """The control task: the same labels, dealt to the examples at random.

    A probe that scores above chance on them has learned the examples, not the property.
    The plainest form of the idea in Hewitt and Liang 2019.
    """
    generator = torch.Generator().manual_seed(seed)
    order_N = torch.randperm(len(labels_N), generator=generator).to(labels_N.device)
    return labels_N[order_N]
