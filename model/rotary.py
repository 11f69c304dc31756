"""Rotary positions in the half-split layout, computed in float32.

Su et al. 2021, "RoFormer", section 3.2.2; component i of a head turns with component i + E/2,
as ModernBERT's weights expect.
Letters: B rows, L positions, E head size, F half of it, … any dimensions between.
"""

import torch
from torch import Tensor


def rotary_table(positions_BL: Tensor, *, head_size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(cos_BLF, sin_BLF)``, float32, of every position's turn.

    Args:
        positions_BL: positions inside their sequences.
        head_size: size of a head, even.
        theta: base of the wavelengths.
    """
    frequencies_F = frequencies(head_size, theta, positions_BL.device)
    angles_BLF = positions_BL[..., None].float() * frequencies_F
    return angles_BLF.cos(), angles_BLF.sin()


def frequencies(head_size: int, theta: float, device: torch.device | None = None) -> Tensor:
    """Radians ``frequencies_F``, float32, by which each pair of components turns at a position."""
    exponents_F = torch.arange(0, head_size, 2, device=device, dtype=torch.float32)
    return 1.0 / (theta ** (exponents_F / head_size))


def rotate(vectors_E: Tensor, cos_F: Tensor, sin_F: Tensor) -> Tensor:
    """`vectors_E` turned by the table, in their own dtype; leading dimensions broadcast."""
    first_F, second_F = wide(vectors_E).chunk(2, dim=-1)
    turned_E = torch.cat(
        (first_F * cos_F - second_F * sin_F, second_F * cos_F + first_F * sin_F), dim=-1
    )
    return turned_E.to(vectors_E.dtype)


def wide(values: Tensor) -> Tensor:
    """`values` in float32, or as they are where they are wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
