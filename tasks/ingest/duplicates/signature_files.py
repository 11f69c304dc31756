"""Keeps the signatures of a corpus on disk, in order, and reads back what is asked for."""

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tasks.ingest.duplicates.shingles import Uint64s
from tasks.ingest.duplicates.signatures import NUM_PERMUTATIONS, Signatures, Uint16s


class SignatureFiles:
    """Signatures in the order they are appended: a file of keys for each band, one of sketches.

    Args:
        folder: where the files go, and those of a search. It is made where there is none, and
            removed by whoever owns it; files of an earlier run are overwritten.
    """

    def __init__(self, folder: Path, num_bands: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.num_bands = num_bands
        self.num_documents = 0
        paths = [folder / f"band-{number:03d}.u64" for number in range(num_bands)]
        self._bands = [path.open("wb") for path in paths]
        self._sketches = (folder / "sketches.u16").open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def append(self, signatures: Signatures) -> None:
        """Write the signatures of the documents that come next.

        Raises:
            ValueError: they have another number of bands.
        """
        num_documents, num_bands = signatures.bands.shape
        if num_bands != self.num_bands:
            raise ValueError(f"got {num_bands} bands for files of {self.num_bands}")
        for file, keys in zip(self._bands, signatures.bands.T, strict=True):
            file.write(keys.tobytes())
        self._sketches.write(signatures.sketch.tobytes())
        self.num_documents += num_documents

    def close(self) -> None:
        """Finish writing; what was written stays readable."""
        for file in (*self._bands, self._sketches):
            file.close()

    def band(self, number: int) -> Uint64s:
        """The keys of a band, uint64 (num_documents,)."""
        file = self._bands[number]
        if not file.closed:
            file.flush()
        return np.fromfile(file.name, np.uint64)

    def sketches(self, indices: npt.NDArray[np.integer]) -> Uint16s:
        """The sketches of some documents, uint16 (num_indices, 128); no others are read."""
        if not len(indices):
            return np.empty((0, NUM_PERMUTATIONS), np.uint16)
        if not self._sketches.closed:
            self._sketches.flush()
        shape = (self.num_documents, NUM_PERMUTATIONS)
        # Mapped anew each time, so that what was read before does not count as memory in use.
        return np.asarray(np.memmap(self._sketches.name, np.uint16, "r", shape=shape)[indices])
