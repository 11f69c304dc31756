"""Features made alike in their large directions, so that iterative probes need few steps.

Computed once from the fitting examples, without labels, and shared by all label sets, strengths
and seeds of one layer.

Letters: N examples, D features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = 1.0


@dataclass(frozen=True)
class Whitening:
    """A fitted affine map to uncorrelated features, of variance one unless it was below the floor.

    Attributes:
        mean_D: float64, feature means of the fitting examples.
        map_DD: float64, takes centred features to whitened ones.
    """

    mean_D: Tensor
    map_DD: Tensor

    def apply(self, features_ND: Tensor) -> Tensor:
        """The whitened features, float32 [N, D]; centred in float64, multiplied in float32."""
        centred_ND = (features_ND.double() - self.mean_D).float()
        return centred_ND @ self.map_DD.float()


def fit_whitening(features_ND: Tensor, *, floor: float = FLOOR) -> Whitening:
    """Fit the map on examples of any float dtype.

    Features are standardized, then divided by the standard deviation along each principal
    direction. Directions whose variance is below `floor` times the mean variance are divided as
    if they had that much, so they stay small and a penalty on weights weighs more on them. Hidden
    states have many such directions, and a probe reads them best so: at the default only what
    is larger than the mean is made smaller. Constant features become 0.

    Shift and scale of single features never matter. At a floor of 0 no affine change of the
    features does: it only rotates the outcome, which a penalty on the squared length of weights
    does not see. Then rounding noise counts as much as everything else.

    Source: Kessy, Lewin and Strimmer 2018 (there PCA-cor whitening). Cost: O(N D^2 + D^3).
    """
    features = features_ND.double()
    mean_D, deviation_D = features.mean(0), features.std(0, correction=0)
    tiny_D = 1e-12 * mean_D.abs()
    scale_D = torch.where(deviation_D > tiny_D, deviation_D, torch.inf)
    standard_ND = (features - mean_D) / scale_D
    variance_D, basis_DD = torch.linalg.eigh(standard_ND.T @ standard_ND / len(features))
    least = max(floor * float(variance_D.mean()), torch.finfo(torch.float64).tiny)
    return Whitening(mean_D, basis_DD / variance_D.clamp_min(least).sqrt() / scale_D[:, None])
