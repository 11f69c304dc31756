"""The colours of plots, and how a plot takes on the light or dark theme of the page around it."""

import re
from functools import partial
from html import escape

INK = "#1b1f24"
MUTED = "#6b7480"
GRID = "#dfe3e8"
SUBJECT = "#0b6bb8"
REFERENCE = "#c2571a"
CONTROL = "#7d8590"

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    SUBJECT: "--subject",
    REFERENCE: "--reference",
    CONTROL: "--control",
}
_LARGEST_SCALE = 1.45  # a small plot in a wide window stays small
_OUTSIDE_SVG = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_STYLE = re.compile(r"<style\b.*?</style>\s*", re.DOTALL)
_OPENING = re.compile(r"<svg\b[^>]*?viewBox=\"([^\"]*)\"[^>]*>")
_IDENTIFIER = re.compile(r" id=\"([^\"]*)\"")


def inline_svg(svg: str, *, label: str) -> str:
    """An SVG document as an element for a page: no prolog, themed colours, a spoken label."""
    body = _STYLE.sub("", _METADATA.sub("", _OUTSIDE_SVG.sub("", svg)))
    return _drop_unused_ids(_apply_theme(_OPENING.sub(partial(_opening, label), body, count=1)))


def _opening(label: str, match: re.Match[str]) -> str:
    width = float(match[1].split()[2])
    attributes = f'role="img" aria-label="{escape(label)}" viewBox="{match[1]}"'
    return f'<svg {attributes} style="max-width: {_LARGEST_SCALE * width:.0f}px">'


def _apply_theme(svg: str) -> str:
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("'DejaVu Sans'", "var(--font)")


def _drop_unused_ids(svg: str) -> str:
    """Remove ids that nothing in the plot refers to; several plots of a page share such names."""
    used = set(re.findall(r"[\"(]#([^\")]+)", svg))
    return _IDENTIFIER.sub(lambda match: match[0] if match[1] in used else "", svg)
