"""A block of a report page that is markup already: what neither a plot nor a table can show."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class Inset:
    """Markup under a sentence.

    Attributes:
        says: what a reader sees in it, as a sentence.
        html: the markup; who makes it has escaped every text in it. It needs no script, nothing
            from outside of the page, and its classes and ids are its own.
        style: CSS rules for it; a page holds equal ones of several insets once.
    """

    says: str
    html: Markup
    style: str
