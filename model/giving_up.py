"""Lets what a model computes be given up between its layers, forwards and backwards."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class GivenUp(Exception):
    """What was being computed is not wanted any more."""


@contextmanager
def can_be_given_up(layers: Iterable[nn.Module], is_wanted: Callable[[], bool]) -> Iterator[None]:
    """While this lasts, a pass through `layers` ends with `GivenUp` soon after that is wanted.

    Args:
        layers: each returns a tensor; between them is asked.
        is_wanted: whether to give up.
    """

    def ask(gradient: Tensor | None = None) -> None:
        if is_wanted():
            raise GivenUp

    def watch(layer: nn.Module, inputs: object, output: Tensor) -> None:
        ask()
        if output.requires_grad:
            hook: Callable[[Callable[[Tensor], None]], object] = output.register_hook
            hook(ask)  # backwards, the layer comes next

    handles = [layer.register_forward_hook(watch) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
