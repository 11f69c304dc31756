"""The terminal, on which text of documents, their ids and names of files say nothing else.

Escape sequences in them could recolour what stands there, rewrite it, or set the window's title;
line ends could forge a line of ours.
"""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tasks.visible_text import visible


class Terminal(Console):
    """A console that shows control characters, marks of direction and the like as signs."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What rich does, line ends kept, with signs in place of what cannot be seen."""
        for segment in super().render(renderable, options):
            is_ours = segment.control or segment.text.isprintable()
            yield segment if is_ours else Segment(_visible_lines(segment.text), segment.style)

    def say(self, text: str, style: str | None = None) -> None:
        """Print one line as it is, whatever is in it."""
        self.print(visible(text), style=style, markup=False, highlight=False)


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))
