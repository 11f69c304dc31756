"""Lines that are told at once, and tables of them in Markdown."""

import sys
from collections.abc import Sequence


def tell(line: str) -> None:
    """At once, also into a file."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def table(head: str, lines: Sequence[str]) -> str:
    """The lines below their head."""
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *lines]) + "\n"
