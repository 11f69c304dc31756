"""What measures ask of an encoder and of a masked language model, whatever their architecture.

Letters: B rows, L positions, D hidden width, M positions asked for, V vocabulary.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from torch import Tensor, nn

from model.batch import Batch
from model.config import Sizes
from model.encoder import Observation


class Inspectable(Protocol):
    """An encoder that can be looked into: `model.encoder.Encoder`, `model.bert.Bert`."""

    @property
    def config(self) -> Sizes:
        """Its sizes and special ids."""

    @property
    def final_norm(self) -> nn.Module:
        """What the last layer's states go through; states of others as if no layer came after."""

    def observe(self, batch: Batch, *, attention: bool = False) -> Iterator[Observation]:
        """What each layer computes, embeddings included."""

    def embed(self, batch: Batch) -> Tensor:
        """States ``hidden_BLD`` that the first layer is given."""

    def steps(self, batch: Batch) -> list[Callable[..., Tensor]]:
        """Each layer as a function of ``hidden_BLD``, and of ``positions_M`` if not all count."""

    def output_projections(self) -> list[nn.Linear]:
        """What takes all that a layer's heads have gathered, side by side, of each layer."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights; the first says where it computes."""


class MaskedPredictor(Protocol):
    """An encoder with the head that reads tokens off its last layer."""

    @property
    def config(self) -> Sizes:
        """The encoder's."""

    @property
    def model(self) -> Inspectable:
        """The encoder."""

    def logits(self, hidden_MD: Tensor) -> Tensor:
        """Scores ``logits_MV`` of states after the final norm."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights; the first says where it computes."""
