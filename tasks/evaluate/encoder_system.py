"""An encoder as a system to score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.embedder import Embedder
from tasks.evaluate.vectors import Symmetric
from tasks.stage import Reporter

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class EncoderSystem(Symmetric):
    """An encoder with the embedder's tokenizer and windows.

    Attributes:
        name: its name in the tables.
        embedder: makes the vectors.
        report: hears how many texts are done.
        cut_dims: shorter widths to score too.
    """

    name: str
    embedder: Embedder
    report: Reporter
    cut_dims: Sequence[int] = ()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [texts, D], rows of unit length.

        Raises:
            ArtifactError: a vector is not finite or has no direction.
        """
        vectors = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            vectors.append(self.embedder.encode_texts(texts[start : start + TEXTS_AT_ONCE]))
            self.report.progress(min(start + TEXTS_AT_ONCE, len(texts)), len(texts), "texts")
        return np.concatenate(vectors)
