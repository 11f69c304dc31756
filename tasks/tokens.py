"""Reads a tokenized corpus, the artifact that tokenize makes: memory-mapped, nothing is copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.errors import ArtifactError
from model.json_files import parse_json
from model.packing import PackedTokens, PackingPlan

TokenIds = npt.NDArray[Any]
Int64s = npt.NDArray[np.int64]

SUMMARY = "tokens.json"
DOC_ID = "doc_id"  # a column of the token files since tokenize's version 2


@dataclass(frozen=True)
class SplitSummary:
    """Totals of one split; rows and fill are those of its packing, and absent where it has none."""

    num_documents: int
    num_tokens: int
    num_text_bytes: int
    num_rows: int | None
    fill_frac: float | None


@dataclass(frozen=True)
class TokensSummary:
    """What tokens.json says.

    Attributes:
        row_tokens: slots in a training row.
        overhead_tokens: slots each piece takes beside its own tokens.
        vocab_size: entries of the embedding table.
        special_ids: ids by name: pad, unk, cls, sep, mask.
        splits: totals of train, validation and test.
    """

    row_tokens: int
    overhead_tokens: int
    vocab_size: int
    special_ids: dict[str, int]
    splits: dict[str, SplitSummary]


class TokenDocuments(Sequence[TokenIds]):
    """The token ids of documents, as views of memory-mapped columns (uint16 or int32, no copy)."""

    def __init__(self, columns: Sequence[pa.LargeListArray]) -> None:
        self._values = [column.values.to_numpy() for column in columns]
        self._offsets = [column.offsets.to_numpy() for column in columns]
        self._ends = np.cumsum([len(column) for column in columns], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> TokenIds: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenIds]: ...
    def __getitem__(self, index: int | slice) -> TokenIds | list[TokenIds]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        column = int(np.searchsorted(self._ends, place, side="right"))
        offsets = self._offsets[column]
        within = place - (int(self._ends[column]) - (len(offsets) - 1))
        token_ids: TokenIds = self._values[column][offsets[within] : offsets[within + 1]]
        return token_ids

    @property
    def lengths(self) -> Int64s:
        """Tokens of each document, int64."""
        return np.concatenate([np.empty(0, np.int64), *map(np.diff, self._offsets)])


class TokenizedCorpus:
    """The token ids and packing of a committed tokenize artifact.

    Raises:
        ArtifactError: from any member, where a file is missing, damaged or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def summary(self) -> TokensSummary:
        """Settings and totals."""
        path = self.folder / SUMMARY
        try:
            values = parse_json(path.read_text("utf-8"))
            splits = {name: SplitSummary(**split) for name, split in values.pop("splits").items()}
            return TokensSummary(**values, splits=splits)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged(path, error) from None

    def documents(self, split: str) -> TokenDocuments:
        """The documents of a split in corpus order, without special tokens."""
        return TokenDocuments([batch.column("token_ids") for batch in self._batches(split)])

    def num_bytes(self, split: str) -> Int64s:
        """UTF-8 bytes of each document's text, int64, in corpus order."""
        columns = [batch.column("num_bytes").to_numpy() for batch in self._batches(split)]
        return np.concatenate([np.empty(0, np.int64), *columns])

    def document_ids(self, split: str, numbers: Sequence[int]) -> list[str]:
        """What the user calls the documents at these places of `documents`; reads only those.

        Raises:
            ArtifactError: the tokens were made by an earlier version, which kept no ids.
            IndexError: the split has no document of such a number.
        """
        batches = self._batches(split)
        if any(DOC_ID not in batch.schema.names for batch in batches):
            raise ArtifactError(
                f"{self.folder} does not name its documents, an earlier version made it: delete "
                "the artifact and run tokenize"
            )
        ends = np.cumsum([batch.num_rows for batch in batches], dtype=np.int64)
        num_documents = int(ends[-1]) if len(ends) else 0
        ids = []
        for number in numbers:
            place = range(num_documents)[number]
            batch = int(np.searchsorted(ends, place, side="right"))
            within = place - (int(ends[batch]) - batches[batch].num_rows)
            ids.append(str(batches[batch].column(DOC_ID)[within].as_py()))
        return ids

    def packed(self, split: str) -> PackedTokens:
        """The training rows of a split; train and validation have them."""
        return PackedTokens(self._plan(split), self.documents(split))

    def _plan(self, split: str) -> PackingPlan:
        return read_plan(
            self.folder / "packing" / f"{split}.arrow",
            row_tokens=self.summary.row_tokens,
            overhead_tokens=self.summary.overhead_tokens,
        )

    def _batches(self, split: str) -> list[pa.RecordBatch]:
        paths = sorted((self.folder / "tokens").glob(f"{split}-*.arrow"))
        if not paths:
            raise ArtifactError(f"{self.folder} has no tokens of split {split!r}: run tokenize")
        return [batch for path in paths for batch in _mapped_batches(path)]


def write_plan(plan: PackingPlan, path: Path) -> None:
    """A packing plan as an Arrow file: a row for each piece, in row order."""
    row = np.repeat(np.arange(plan.num_rows), np.diff(plan.row_offsets_R1))
    columns = {
        "row": row,
        "document": plan.piece_document,
        "start": plan.piece_start,
        "length": plan.piece_length,
    }
    table = pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_plan(path: Path, *, row_tokens: int, overhead_tokens: int) -> PackingPlan:
    """The packing plan that `write_plan` wrote."""
    batches = _mapped_batches(path)
    pieces = {
        name: np.concatenate(
            [np.empty(0, np.int64), *(batch[name].to_numpy() for batch in batches)]
        )
        for name in ("row", "document", "start", "length")
    }
    num_rows = int(pieces["row"][-1]) + 1 if len(pieces["row"]) else 0
    offsets_R1 = np.searchsorted(pieces["row"], np.arange(num_rows + 1))
    return PackingPlan(
        piece_document=pieces["document"],
        piece_start=pieces["start"],
        piece_length=pieces["length"],
        row_offsets_R1=offsets_R1,
        row_tokens=row_tokens,
        overhead_tokens=overhead_tokens,
    )


def _mapped_batches(path: Path) -> list[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        return [reader.get_batch(number) for number in range(reader.num_record_batches)]
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ArtifactError:
    first_line = str(error).partition("\n")[0]
    return ArtifactError(f"{path} cannot be read ({first_line}): delete the artifact and run again")
