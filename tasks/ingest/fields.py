"""Which column of a record plays which part: named by the user, else found by its usual name."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.ingest.config import IngestConfig

# In order of precedence, compared without regard to case.
USUAL_TEXTS = ("text", "content", "contents", "body", "article", "document", "raw_content")
USUAL_IDS = ("doc_id", "id", "document_id", "uuid")
USUAL_TITLES = ("title", "headline", "subject")
USUAL_LABELS = ("label", "category", "class", "topic")


@dataclass(frozen=True)
class Fields:
    """The parts of a record's columns.

    Attributes:
        text: the column that holds its text; None where there is none.
        id: the column that holds its id; None where there is none.
        metadata: all other columns but the split, in their order.
    """

    text: str | None
    id: str | None
    metadata: tuple[str, ...]


def fields_of(names: Sequence[str], config: IngestConfig, *, has_text: bool) -> Fields:
    """The parts of columns with these names.

    Args:
        has_text: whether the record's text is known otherwise, so that no column is it.
    """
    text = None if has_text else first_of(text_names(config), names, config.text_column)
    taken = {text, config.split_column}
    free = [name for name in names if name not in taken]
    usual_ids = USUAL_IDS if config.id_column is None else (config.id_column,)
    id_name = first_of(usual_ids, free, config.id_column)
    metadata = tuple(name for name in free if name != id_name)
    return Fields(text, id_name, metadata)


def text_names(config: IngestConfig) -> tuple[str, ...]:
    """Names of columns that hold text, the likeliest first."""
    return USUAL_TEXTS if config.text_column is None else (config.text_column,)


def first_of(wanted: Sequence[str], names: Sequence[str], named: str | None) -> str | None:
    """The first of the wanted names that is there; usual names are found in any case.

    Args:
        named: the name the user gave, which must be met exactly.
    """
    if named is not None:
        return named if named in names else None
    for one in wanted:  # most often it is there as it stands
        if one in names:
            return one
    folded = {name.casefold(): name for name in reversed(names)}
    return next((folded[one] for one in wanted if one in folded), None)
