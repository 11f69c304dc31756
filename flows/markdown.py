"""Text of strangers in Markdown, as Prefect's pages show it, cells of tables included."""

import re

from tasks.visible_text import visible

_TICKS = re.compile("`+")


def code(text: str) -> str:
    """The text as code on one line: nothing in it is a link, an image, markup or a new cell."""
    shown = visible(text).replace("|", "\u2502")  # tables end their cells there even in code
    longest = max(map(len, _TICKS.findall(shown)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown.strip() else ""
