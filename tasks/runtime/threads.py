"""Keeps the number of computing threads the same in every operation of a process."""

import torch


def hold_threads_steady() -> None:
    """Fix torch's threads at their present number, and let MKL choose no fewer.

    How a sum is divided among threads decides its last bits. MKL may use fewer threads than it is
    allowed until its dynamic adjustment is off, which setting the number does; its manual asks for
    that where results must repeat (oneMKL, "Obtaining Numerically Reproducible Results").
    """
    torch.set_num_threads(torch.get_num_threads())
