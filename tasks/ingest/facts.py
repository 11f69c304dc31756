"""What is known of a file's columns before its documents are taken in."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa

from model.errors import CorpusError
from tasks.ingest.column_types import unify

MAX_COLUMNS = 1000
MAX_SPLIT_VALUES = 20


@dataclass
class Facts:
    """Of a file, or of a whole corpus.

    Attributes:
        types: column types by name, in order of appearance.
        metadata: names of columns that are metadata in at least one record.
        text_names, id_names: columns that hold a record's text, or its id.
        splits: what the split column says, as `spelled_split` has it, or where that has no
            answer, the odd values themselves, as many as an error message can show.
        has_texts: whether there are documents without columns.
    """

    types: dict[str, pa.DataType] = field(default_factory=dict)
    metadata: set[str] = field(default_factory=set)
    text_names: set[str] = field(default_factory=set)
    id_names: set[str] = field(default_factory=set)
    splits: set[str] = field(default_factory=set)
    has_texts: bool = False

    def add_type(self, name: str, found: pa.DataType) -> None:
        """Take in the type of a column, or of one value of it.

        Raises:
            CorpusError: there are too many columns.
        """
        self.types[name] = unify(self.types.get(name, pa.null()), found)
        if len(self.types) > MAX_COLUMNS:
            raise CorpusError(
                f"the corpus has more than {MAX_COLUMNS} columns, the last one {name!r}: "
                "put free-form keys into one nested object"
            )

    def merge(self, other: Self) -> None:
        """Take in what is known of another file."""
        for name, found in other.types.items():
            self.add_type(name, found)
        self.metadata |= other.metadata
        self.text_names |= other.text_names
        self.id_names |= other.id_names
        self.splits = set(sorted(self.splits | other.splits)[:MAX_SPLIT_VALUES])
        self.has_texts |= other.has_texts

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        schema = pa.schema(list(self.types.items())).serialize().to_pybytes()
        return {
            "types": base64.b64encode(schema).decode("ascii"),
            "metadata": sorted(self.metadata),
            "text_names": sorted(self.text_names),
            "id_names": sorted(self.id_names),
            "splits": sorted(self.splits),
            "has_texts": self.has_texts,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(values["types"])))
        return cls(
            types={entry.name: entry.type for entry in schema},
            metadata=set(values["metadata"]),
            text_names=set(values["text_names"]),
            id_names=set(values["id_names"]),
            splits=set(values["splits"]),
            has_texts=values["has_texts"],
        )


def merged(facts: Iterable[Facts]) -> Facts:
    """What is known of several files together; columns in order of appearance."""
    whole = Facts()
    for one in facts:
        whole.merge(one)
    return whole
