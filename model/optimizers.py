"""Muon for the matrices inside the layers, AdamW for everything else.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale of the
update follows Liu et al. 2025, "Muon is scalable for LLM training" (section 2.2), so that its
rate and decay mean about what they mean in AdamW.
Letters: G matrices of one shape, R rows, C columns (R <= C).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Coefficients of the quintic that pulls singular values towards one fastest (Jordan et al.).
QUINTIC = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5
MOMENTUM = 0.95
UPDATE_RMS = 0.2  # of an AdamW update in practice (Liu et al., section 2.2)
ADAMW_BETAS = (0.9, 0.98)
# Fused projections are several matrices: each is made orthogonal on its own.
FUSED_PARTS = {"Wqkv.weight": 3, "Wi.weight": 2}


@torch.no_grad()
def orthogonalize(matrices_GRC: Tensor) -> Tensor:
    """The nearest matrices with all singular values about one (0.7 to 1.2), by Newton-Schulz.

    Works on any number of matrices of one shape at once, in their dtype; bfloat16 suffices where
    the processor computes it natively. Cost: 5 iterations of 3 matrix products.
    """
    wide_GRC = matrices_GRC if matrices_GRC.shape[1] <= matrices_GRC.shape[2] else matrices_GRC.mT
    wide_GRC = wide_GRC / wide_GRC.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = QUINTIC
    for _ in range(NUM_ITERATIONS):
        gram_GRR = wide_GRC @ wide_GRC.mT
        polynomial_GRR = torch.baddbmm(gram_GRR, gram_GRR, gram_GRR, beta=b, alpha=c)
        wide_GRC = torch.baddbmm(wide_GRC, polynomial_GRR, wide_GRC, beta=a)
    return wide_GRC if matrices_GRC.shape[1] <= matrices_GRC.shape[2] else wide_GRC.mT


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Peak rates and decay.

    Attributes:
        learning_rate: of AdamW.
        muon_learning_rate: of Muon.
        weight_decay: decoupled, of matrices and the embedding table; norms and biases have none.
        grad_clip: largest norm of the whole gradient.
        muon_dtype: precision inside Muon's iteration.
    """

    learning_rate: float
    muon_learning_rate: float
    weight_decay: float
    grad_clip: float
    muon_dtype: torch.dtype = torch.float32


class Muon:
    """Momentum whose update is made orthogonal, for named two-dimensional parameters."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], settings: OptimizerSettings) -> None:
        self.parameters = dict(parameters)
        self.settings = settings
        self.momenta = {name: torch.zeros_like(p) for name, p in self.parameters.items()}

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One update at `factor` times the peak rate; parameters without gradient stay."""
        rate = factor * self.settings.muon_learning_rate
        directions = self._directions()
        for shape, group in self._groups(directions).items():
            stacked_GRC = torch.cat([directions[name].view(-1, *shape) for name in group])
            updates_GRC = orthogonalize(stacked_GRC.to(self.settings.muon_dtype))
            scale = -rate * UPDATE_RMS * math.sqrt(max(shape))
            sizes = [directions[name].numel() // math.prod(shape) for name in group]
            for name, update in zip(group, torch.split(updates_GRC, sizes), strict=True):
                parameter = self.parameters[name]
                parameter.mul_(1.0 - rate * self.settings.weight_decay)
                parameter.add_(update.reshape(parameter.shape), alpha=scale)

    def _directions(self) -> dict[str, Tensor]:
        """Nesterov's look-ahead of each parameter with a gradient."""
        directions: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                momentum = self.momenta[name].lerp_(parameter.grad, 1.0 - MOMENTUM)
                directions[name] = parameter.grad.lerp(momentum, MOMENTUM)
        return directions

    def _groups(self, directions: Mapping[str, Tensor]) -> dict[tuple[int, int], list[str]]:
        """Names of the parameters whose parts have the same shape."""
        groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, direction in directions.items():
            groups[_part_shape(name, direction)].append(name)
        return groups


class Optimizers:
    """Both optimizers of a masked language model, with a state that is kept by parameter name."""

    def __init__(self, model: nn.Module, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.parameters = dict(model.named_parameters())
        hidden = {name: p for name, p in self.parameters.items() if is_hidden_matrix(name, p)}
        self.muon = Muon(hidden, settings)
        self.others = {name: p for name, p in self.parameters.items() if name not in hidden}
        self.adamw = _adamw(self.others.values(), settings)

    def clip(self) -> Tensor:
        """Scales the gradients down to `grad_clip` at most; returns their norm before that."""
        return nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.grad_clip)

    def step(self, factor: float) -> None:
        """One update of all parameters at `factor` times the peak rates."""
        for group in self.adamw.param_groups:
            group["lr"] = factor * self.settings.learning_rate
        self.adamw.step()
        self.muon.step(factor)
        for parameter in self.parameters.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs beside weights and step, by parameter name."""
        momenta = {f"muon.{name}": value for name, value in self.muon.momenta.items()}
        return momenta | {f"adamw.{part}.{name}": t for part, name, t in self._adamw_moments()}

    def load_state(self, state: Mapping[str, Tensor], step: int) -> None:
        """Takes over what `state` returned after update number `step`.

        Raises:
            KeyError: the state is of other parameters.
        """
        for name, momentum in self.muon.momenta.items():
            momentum.copy_(state[f"muon.{name}"])
        for name, parameter in self.others.items():
            self.adamw.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                **{
                    part: state[f"adamw.{part}.{name}"].to(parameter.device, copy=True)
                    for part in ("exp_avg", "exp_avg_sq")
                },
            }

    def _adamw_moments(self) -> Iterator[tuple[str, str, Tensor]]:
        for name, parameter in self.others.items():
            for part in ("exp_avg", "exp_avg_sq"):
                yield part, name, self.adamw.state[parameter][part]


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon takes it: a matrix inside the layers, no embedding, head, norm or bias."""
    return ".layers." in name and parameter.ndim == 2


def _part_shape(name: str, matrix: Tensor) -> tuple[int, int]:
    parts = next((n for suffix, n in FUSED_PARTS.items() if name.endswith(suffix)), 1)
    return matrix.shape[0] // parts, matrix.shape[1]


def _adamw(parameters: Iterable[nn.Parameter], settings: OptimizerSettings) -> torch.optim.AdamW:
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in parameters:
        (matrices if parameter.ndim == 2 else vectors).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=ADAMW_BETAS, fused=True)
