"""The linear probe that gives probabilities: multinomial logistic regression with a penalty.

It reads whitened features (`model.whitening`), which several label sets and strengths share.

Letters: N examples, D features, C classes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
PRIOR = 0.5  # of an example of each class, seen beforehand at the mean of the features
TOLERANCE = 1e-3
MAX_STEPS = 500


@dataclass(frozen=True)
class LogisticProbe:
    """A fitted map from whitened features to class probabilities.

    Attributes:
        strength: the penalty it was fitted with.
        weight_DC: float64.
        bias_C: float64.
        largest_gradient: the largest entry of the loss's gradient where the fit ended, in the
            scale of the optimizer; above the tolerance asked for when the steps ran out or
            rounding allowed no less.
        num_steps: steps of the optimizer.
    """

    strength: float
    weight_DC: Tensor
    bias_C: Tensor
    largest_gradient: float
    num_steps: int

    def log_probabilities_NC(self, inputs_ND: Tensor) -> Tensor:
        """Natural logarithms of the class probabilities of each example, [N, C] like inputs."""
        weight_DC, bias_C = self.weight_DC.to(inputs_ND.dtype), self.bias_C.to(inputs_ND.dtype)
        return torch.addmm(bias_C, inputs_ND, weight_DC).log_softmax(1)

    def predict(self, inputs_ND: Tensor) -> Tensor:
        """The most probable class of each example, int64 [N]; the first of equals."""
        return self.log_probabilities_NC(inputs_ND).argmax(1)

    def losses(self, inputs_ND: Tensor, labels_N: Tensor) -> Tensor:
        """What each example's label costs, in nats: float64 [N]."""
        log_probability_NC = self.log_probabilities_NC(inputs_ND)
        return -log_probability_NC.gather(1, labels_N[:, None])[:, 0].double()


def fit_logistic(
    inputs_ND: Tensor,
    labels_N: Tensor,
    *,
    num_classes: int,
    strength: float,
    start: LogisticProbe | None = None,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> LogisticProbe:
    """Fit one probe.

    Minimises the mean log loss plus ``strength / 2 * |W|^2``; the bias bears no penalty. Half an
    example of each class at the mean of the features is added to the loss, so a class that the
    fitting examples lack keeps a small probability, and a probe without weights predicts the
    classes' shares by the rule of Krichevsky and Trofimov 1981, (n_c + 1/2) / (n + C/2).
    Separable examples do no harm: the penalty keeps weights finite.

    The same input gives the same bits on the same machine with the same number of threads.

    Args:
        inputs_ND: float32 or, for more exact weights in twice the time, float64; whitened
            features of the fitting examples. Rounding in float32 ends the fit at a gradient of
            about 1e-6 for many examples, 3e-5 for a few hundred.
        labels_N: int64 in [0, num_classes), where the features are.
        num_classes: C.
        strength: positive.
        start: a probe of the same shape to start from, such as that of another strength.
        tolerance: ends when no entry of the gradient is larger; at the default the loss is
            within about 1e-3 nats of the least.
        max_steps: ends at the latest after so many steps.

    Source: Hastie, Tibshirani and Friedman 2009, section 4.4; L-BFGS of Liu and Nocedal 1989.
    Cost: about 1.1 passes a step, each O(N D C); 1 to 60 steps, the fewer the stronger the
    penalty. One core takes about 2 s for all of `STRENGTHS` together, each from the last, on
    15,000 examples of 384 features and 17 classes; memory traffic is most of it.
    """
    assert strength > 0, "without a penalty separable examples have no best weights"
    loss = _Loss(inputs_ND, labels_N, num_classes, strength)
    first = start if start is not None else _constant(inputs_ND, labels_N, num_classes)
    found = minimize(
        loss.at,
        loss.packed(first.weight_DC, first.bias_C),
        jac=True,
        method="L-BFGS-B",
        options={"gtol": tolerance, "ftol": 0.0, "maxiter": max_steps, "maxcor": 20},
    )
    weight_DC, bias_C = loss.unpacked(found.x)
    largest = float(np.abs(found.jac).max())
    return LogisticProbe(strength, weight_DC, bias_C, largest, int(found.nit))


def fit_path(
    inputs_ND: Tensor,
    labels_N: Tensor,
    *,
    num_classes: int,
    strengths: Sequence[float] = STRENGTHS,
    tolerance: float = TOLERANCE,
) -> Iterator[LogisticProbe]:
    """Fit one probe for each strength, the most penalised first; each starts from the last.

    Args as for `fit_logistic`. A caller that stops asking spares the rest, which cost most.
    """
    probe = None
    for strength in sorted(strengths, reverse=True):
        probe = fit_logistic(
            inputs_ND,
            labels_N,
            num_classes=num_classes,
            strength=strength,
            start=probe,
            tolerance=tolerance,
        )
        yield probe


def choose_logistic(
    probes: Iterable[LogisticProbe], inputs_ND: Tensor, labels_N: Tensor
) -> LogisticProbe:
    """The probe of least log loss on a split kept for choosing; of equals the most penalised.

    Args:
        probes: in the order of falling strength, as from `fit_path`. The first one that is worse
            than the one before it ends the search, and later ones are never fitted.
        inputs_ND: float32, whitened features of the split.
        labels_N: int64.
    """
    best, least = None, math.inf
    for probe in probes:
        loss = float(probe.losses(inputs_ND, labels_N).mean())
        if best is None or loss < least:
            best, least = probe, loss
        elif loss > least:
            break
    assert best is not None, "there is a probe to choose"
    return best


def class_shares(labels_N: Tensor, num_classes: int) -> Tensor:
    """Shares of the classes after `PRIOR` examples of each: float64 [C], none of them 0."""
    counts_C = torch.bincount(labels_N, minlength=num_classes).double() + PRIOR
    return counts_C / counts_C.sum()


def _constant(inputs_ND: Tensor, labels_N: Tensor, num_classes: int) -> LogisticProbe:
    """The best probe without weights."""
    bias_C = class_shares(labels_N, num_classes).log()
    weight_DC = bias_C.new_zeros(inputs_ND.shape[1], num_classes)
    return LogisticProbe(math.inf, weight_DC, bias_C, 0.0, 0)


class _Loss:
    """The loss and its gradient as functions of one flat float64 array.

    Rare classes have flat losses. So the array holds weights times the root of their usual
    curvature, which spares steps; nothing else depends on it.
    """

    def __init__(self, inputs_ND: Tensor, labels_N: Tensor, num_classes: int, strength: float):
        self.inputs_ND, self.labels_N, self.strength = inputs_ND, labels_N, strength
        self.shape = (inputs_ND.shape[1] + 1, num_classes)
        share_C = class_shares(labels_N, num_classes)
        curvature_C = share_C * (1 - share_C)
        weights_DC = (curvature_C + strength).expand(self.shape[0] - 1, -1)
        self.root_EC = torch.cat([weights_DC, curvature_C[None]]).sqrt()
        self.example_N = torch.arange(len(labels_N), device=labels_N.device)

    def packed(self, weight_DC: Tensor, bias_C: Tensor) -> np.ndarray:
        both_EC = torch.cat([weight_DC, bias_C[None]]) * self.root_EC
        return both_EC.cpu().numpy().ravel()

    def unpacked(self, flat: np.ndarray) -> tuple[Tensor, Tensor]:
        both_EC = torch.from_numpy(flat.reshape(self.shape)).to(self.root_EC) / self.root_EC
        return both_EC[:-1], both_EC[-1]

    def at(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient; passes over examples in their dtype, sums in float64."""
        weight_DC, bias_C = self.unpacked(flat)
        dtype = self.inputs_ND.dtype
        logit_NC = torch.addmm(bias_C.to(dtype), self.inputs_ND, weight_DC.to(dtype))
        log_probability_NC = logit_NC.log_softmax(1)
        own_N = log_probability_NC[self.example_N, self.labels_N]
        excess_NC = log_probability_NC.exp_()
        excess_NC[self.example_N, self.labels_N] -= 1
        num = len(self.labels_N)
        log_prior_C = bias_C.log_softmax(0)
        prior_bias_C = PRIOR * (log_prior_C.exp() * len(bias_C) - 1)
        loss = -(own_N.sum(dtype=torch.float64) + PRIOR * log_prior_C.sum()) / num
        loss = loss + self.strength / 2 * weight_DC.square().sum()
        gradient_DC = (self.inputs_ND.T @ excess_NC).double() / num + self.strength * weight_DC
        gradient_C = (excess_NC.sum(0, dtype=torch.float64) + prior_bias_C) / num
        both_EC = torch.cat([gradient_DC, gradient_C[None]]) / self.root_EC
        return float(loss), both_EC.cpu().numpy().ravel()
