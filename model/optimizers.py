"""Muon for the matrices inside the layers, AdamW for everything else (or for all).

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale of the
update follows Liu et al. 2025, "Muon is scalable for LLM training" (section 2.2), so that its
rate and decay mean about what they mean in AdamW. Each head's part of a projection is made
orthogonal by itself: the heads are matrices of their own, and small ones cost a fraction.
Letters: G matrices of one shape, R rows, C columns (R <= C).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Coefficients of the quintics that, one after another, pull all singular values towards one as
# fast as any can (Amsel et al. 2025, "The Polar Express", section 3.2).
QUINTICS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
# All but the last take singular values for a little larger than they are: just above the range
# a quintic is made for it diverges, and bfloat16 rounds values there.
MARGIN = 1.01
MOMENTUM = 0.95
UPDATE_RMS = 0.2  # of an AdamW update in practice (Liu et al., section 2.2)
ADAMW_BETAS = (0.9, 0.98)


@torch.no_grad()
def orthogonalize(matrices_GRC: Tensor) -> Tensor:
    """The nearest matrices with all singular values about one (0.8 to 1.2), by iteration.

    Works on any number of matrices of one shape at once, in their dtype; bfloat16 suffices where
    the processor computes it natively. Cost: 5 iterations of 3 matrix products.
    """
    wide_GRC = matrices_GRC if matrices_GRC.shape[1] <= matrices_GRC.shape[2] else matrices_GRC.mT
    norms_G11 = wide_GRC.norm(dim=(1, 2), keepdim=True) * MARGIN
    wide_GRC = wide_GRC / norms_G11.clamp(min=1e-7)
    for number, (a, b, c) in enumerate(QUINTICS, start=1):
        if number < len(QUINTICS):
            a, b, c = a / MARGIN, b / MARGIN**3, c / MARGIN**5
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
        has_muon: whether Muon takes the matrices inside the layers; else AdamW takes all.
        num_heads: attention heads, which the projections are made of.
    """

    learning_rate: float
    muon_learning_rate: float
    weight_decay: float
    grad_clip: float
    muon_dtype: torch.dtype = torch.float32
    has_muon: bool = True
    num_heads: int = 1


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
        for shape, group in self._groups().items():
            parts_GRC = torch.cat(list(group.values())).to(self.settings.muon_dtype)
            updates_GRC = orthogonalize(parts_GRC)
            scale = -rate * UPDATE_RMS * math.sqrt(max(shape))
            sizes = [len(parts) for parts in group.values()]
            for name, update_GRC in zip(group, torch.split(updates_GRC, sizes), strict=True):
                parameter = self.parameters[name]
                parameter.mul_(1.0 - rate * self.settings.weight_decay)
                update = self._joined(name, update_GRC).reshape(parameter.shape)
                parameter.add_(update, alpha=scale)

    def _groups(self) -> dict[tuple[int, int], dict[str, Tensor]]:
        """Nesterov's look-ahead of each parameter with a gradient, in parts, by their shape."""
        groups: dict[tuple[int, int], dict[str, Tensor]] = defaultdict(dict)
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                momentum = self.momenta[name].lerp_(parameter.grad, 1.0 - MOMENTUM)
                parts_GRC = self._parts(name, parameter.grad.lerp(momentum, MOMENTUM))
                groups[parts_GRC.shape[1], parts_GRC.shape[2]][name] = parts_GRC
        return groups

    def _parts(self, name: str, matrix: Tensor) -> Tensor:
        """The matrices ``parts_GRC`` that a parameter is made of."""
        num_rows, num_columns = matrix.shape
        if name.endswith("Wqkv.weight"):  # a query, a key and a value of each head
            return matrix.view(3 * self.settings.num_heads, -1, num_columns)
        if name.endswith("attn.Wo.weight"):  # a share of the columns is a head's
            return matrix.view(num_rows, self.settings.num_heads, -1).transpose(0, 1)
        if name.endswith("Wi.weight"):  # input and gate
            return matrix.view(2, -1, num_columns)
        return matrix[None]

    def _joined(self, name: str, parts_GRC: Tensor) -> Tensor:
        """The opposite of `_parts`, but for the shape."""
        return parts_GRC.transpose(0, 1) if name.endswith("attn.Wo.weight") else parts_GRC


class Optimizers:
    """Both optimizers of a masked language model, with a state that is kept by parameter name."""

    def __init__(self, model: nn.Module, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.parameters = dict(model.named_parameters())
        hidden = {
            name: parameter
            for name, parameter in self.parameters.items()
            if settings.has_muon and is_hidden_matrix(name, parameter)
        }
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

    def forget(self) -> None:
        """Goes back to where no update has been done."""
        for momentum in self.muon.momenta.values():
            momentum.zero_()
        self.adamw.state.clear()

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
