"""What a trial found, and the file it stands in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from model.errors import ArtifactError
from model.json_files import parse_json
from model.retrieval import MeanEstimate

FILE = "trial.json"
BOTH, NEW = "both", "new"  # kinds of documents: test for both; test, and unknown to the released


@dataclass(frozen=True)
class Measured:
    """One measure on one kind of documents.

    Attributes:
        documents: `BOTH` or `NEW`.
        measure: such as recall_at_1, of half documents.
        challenger, released: how each did, with its interval.
        difference: challenger minus released, paired by document, with its interval.
    """

    documents: str
    measure: str
    challenger: MeanEstimate
    released: MeanEstimate
    difference: MeanEstimate


@dataclass(frozen=True)
class Trial:
    """All that was measured; nothing of a kind of which there were not two documents.

    Attributes:
        measured: by kind of documents and measure.
        num_both: test documents of both corpora.
        num_new: test documents of the challenger's corpus that the released one's has not.
        num_learned: test documents of the challenger's that the released embedder was trained or
            tuned on, and that nobody is asked about.
    """

    measured: list[Measured]
    num_both: int
    num_new: int
    num_learned: int

    def of(self, documents: str, measure: str = "recall_at_1") -> Measured | None:
        """One of the measures; None where there were too few documents."""
        for each in self.measured:
            if (each.documents, each.measure) == (documents, measure):
                return each
        return None

    def write(self, folder: Path) -> None:
        """As ``trial.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From a trial's folder.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        try:
            values = parse_json((folder / FILE).read_text("utf-8"))
            measured = [_measured(each) for each in values.pop("measured")]
            return cls(measured=measured, **values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{folder / FILE} cannot be read ({error}): run again") from None


def _measured(values: dict[str, Any]) -> Measured:
    names = ("challenger", "released", "difference")
    estimates = {name: MeanEstimate(**values[name]) for name in names}
    return Measured(values["documents"], values["measure"], **estimates)
