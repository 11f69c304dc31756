"""Which columns the corpus has, and what is wrong with those that the user asked for."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from model.errors import CorpusError
from tasks.corpus import SPLITS, is_reserved
from tasks.ingest.column_types import stored_type
from tasks.ingest.config import IngestConfig
from tasks.ingest.facts import Facts
from tasks.ingest.fields import USUAL_LABELS, USUAL_TEXTS, USUAL_TITLES, first_of


@dataclass(frozen=True)
class Columns:
    """The columns of the corpus beside text and id.

    Attributes:
        metadata: with the types they are stored with, in order of appearance.
        label: the metadata column that evaluate classifies by, if there is one.
        title: the metadata column that search shows, if there is one.
    """

    metadata: dict[str, pa.DataType]
    label: str | None
    title: str | None


def assign_columns(facts: Facts, config: IngestConfig) -> Columns:
    """The corpus's columns.

    Raises:
        CorpusError: a column the user named is not there, no table has a text, a metadata column
            has a reserved name, or the split column says something else than train, validation
            or test.
    """
    _check_named_columns(facts, config)
    _check_text(facts)
    metadata = {
        name: stored_type(found) for name, found in facts.types.items() if name in facts.metadata
    }
    _check_reserved(metadata)
    _check_are_metadata(metadata, config)
    _check_splits(facts, config)
    groups = [name for name, found in metadata.items() if not pa.types.is_nested(found)]
    return Columns(
        metadata,
        config.label_column or first_of(USUAL_LABELS, groups, None),
        config.title_column or first_of(USUAL_TITLES, groups, None),
    )


def _check_named_columns(facts: Facts, config: IngestConfig) -> None:
    named = {
        "text_column": config.text_column if facts.types else None,
        "id_column": config.id_column,
        "label_column": config.label_column,
        "title_column": config.title_column,
        "split_column": config.split_column,
    }
    for setting, name in named.items():
        if name is not None and name not in facts.types:
            raise CorpusError(
                f"there is no column {name!r} (ingest.{setting}): {_listed(facts.types)}"
            )


def _check_text(facts: Facts) -> None:
    if facts.types and not facts.text_names and not facts.has_texts:
        raise CorpusError(
            f"no column has a usual name for text ({', '.join(USUAL_TEXTS)}): "
            f"{_listed(facts.types)}; name one with ingest.text_column"
        )


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - 30} more" if len(shown) > 30 else ""
    return (
        f"the columns are {', '.join(shown[:30])}{more}" if shown else "the files have no columns"
    )


def _check_reserved(metadata: Iterable[str]) -> None:
    for name in metadata:
        if is_reserved(name):
            uses = {"split": "split_column", "doc_id": "id_column", "text": "text_column"}
            use = uses.get(name.casefold())
            advice = f"rename it, or set ingest.{use} to {name}" if use else "rename it"
            raise CorpusError(f"column {name!r} has a name that corpusmith itself writes: {advice}")


def _check_are_metadata(metadata: Iterable[str], config: IngestConfig) -> None:
    for setting in ("label_column", "title_column"):
        name = getattr(config, setting)
        if name is not None and name not in metadata:
            raise CorpusError(
                f"column {name!r} is text, id or split and cannot be ingest.{setting} as well: "
                "name a metadata column"
            )


def _check_splits(facts: Facts, config: IngestConfig) -> None:
    if config.split_column is None:
        return
    if facts.has_texts:
        raise CorpusError(
            f"documents that are no rows have no column {config.split_column!r} "
            "(ingest.split_column): leave the setting out, or give tables only"
        )
    if not facts.splits <= set(SPLITS):
        raise CorpusError(
            f"column {config.split_column!r} must say train, validation or test, "
            f"but there is {', '.join(sorted(facts.splits))}"
        )
