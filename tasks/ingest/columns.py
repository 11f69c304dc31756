"""Which column plays which part: text, id, split, or metadata to keep."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from model.errors import CorpusError
from tasks.corpus import SPLITS, is_reserved
from tasks.ingest.column_types import stored_type
from tasks.ingest.config import IngestConfig
from tasks.ingest.survey import Survey

_USUAL_ID_COLUMNS = ("doc_id", "id")


@dataclass(frozen=True)
class Columns:
    """The parts that columns play.

    Attributes:
        id: the id column, if there is one.
        id_is_required: whether the user named it, so that a record without an id is refused.
        split: the split column, if the user named one.
        metadata: the other columns with the types they are stored with, in order of appearance.
    """

    text: str
    id: str | None
    id_is_required: bool
    split: str | None
    metadata: dict[str, pa.DataType]


def assign_columns(survey: Survey, config: IngestConfig) -> Columns:
    """Give every column its part.

    Raises:
        CorpusError: a column the user named is not there, a metadata column has a reserved name,
            or the split column says something else than train, validation or test.
    """
    _check_named_columns(survey, config)
    id_column = config.id_column or _usual_id_column(survey, config)
    parts = {config.text_column, id_column, config.split_column}
    metadata = {
        name: stored_type(found) for name, found in survey.types.items() if name not in parts
    }
    _check_reserved(metadata, config)
    _check_splits(survey, config)
    return Columns(
        config.text_column, id_column, config.id_column is not None, config.split_column, metadata
    )


def _usual_id_column(survey: Survey, config: IngestConfig) -> str | None:
    taken = (config.text_column, config.split_column)
    usual = [name for name in _USUAL_ID_COLUMNS if name in survey.types and name not in taken]
    return usual[0] if usual else None


def _check_named_columns(survey: Survey, config: IngestConfig) -> None:
    named = {
        "text_column": config.text_column if survey.types else None,
        "id_column": config.id_column,
        "label_column": config.label_column,
        "title_column": config.title_column,
        "split_column": config.split_column,
    }
    for setting, name in named.items():
        if name is not None and name not in survey.types:
            raise CorpusError(
                f"there is no column {name!r} (ingest.{setting}): {_listed(survey.types)}"
            )
    text_parts = [named[part] for part in ("text_column", "id_column", "split_column")]
    for setting in ("label_column", "title_column"):
        if named[setting] is not None and named[setting] in text_parts:
            raise CorpusError(
                f"column {named[setting]!r} is text, id or split and cannot be ingest.{setting} "
                "as well: name a metadata column"
            )


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - 30} more" if len(shown) > 30 else ""
    return (
        f"the columns are {', '.join(shown[:30])}{more}" if shown else "the files have no columns"
    )


def _check_reserved(metadata: Iterable[str], config: IngestConfig) -> None:
    for name in metadata:
        if is_reserved(name):
            uses = {"split": "split_column", "doc_id": "id_column", "text": "text_column"}
            use = uses.get(name.casefold())
            advice = f"rename it, or set ingest.{use} to {name}" if use else "rename it"
            raise CorpusError(f"column {name!r} has a name that corpusmith itself writes: {advice}")


def _check_splits(survey: Survey, config: IngestConfig) -> None:
    if config.split_column is None:
        return
    if survey.has_texts:
        raise CorpusError(
            f"plain text files have no column {config.split_column!r} (ingest.split_column): "
            "leave the setting out, or give tables only"
        )
    if not survey.splits <= set(SPLITS):
        raise CorpusError(
            f"column {config.split_column!r} must say train, validation or test, "
            f"but there is {', '.join(sorted(survey.splits))}"
        )
