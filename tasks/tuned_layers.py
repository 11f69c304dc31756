"""What tune says of an embedder whose upper layers it dropped, and where those still are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from model.errors import ArtifactError
from model.json_files import parse_json

FILE = "layers.json"


@dataclass(frozen=True, kw_only=True)
class TunedLayers:
    """What validation documents made of each layer.

    Attributes:
        layer: the one that the embedder reads its vectors off, counted from 1.
        checkpoint: folder below the embedder's that holds it with all of its layers.
        validation_recall_at_1: of the embedder cut after layer 1, 2, ... and the last.
        validation_mrr: the same, the mean of one over the rank.
    """

    layer: int
    checkpoint: str
    validation_recall_at_1: list[float]
    validation_mrr: list[float]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What an embedder's folder says; None where tune was not asked to choose a layer.

        Raises:
            ArtifactError: the file is damaged.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            return cls(**parse_json(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}): run tune again") from None

    def write(self, folder: Path) -> None:
        """Write the file into an embedder's folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    @property
    def rows(self) -> list[dict[str, float]]:
        """A row a layer, for a table."""
        scores = zip(self.validation_recall_at_1, self.validation_mrr, strict=True)
        return [
            {"layer": layer, "validation_recall_at_1": recall, "validation_mrr": mrr}
            for layer, (recall, mrr) in enumerate(scores, start=1)
        ]
