"""The grid of heads as markup: a cell a head, and the attention of the one that is chosen.

Choosing is a radio button, so no script is needed; on paper the chosen head is printed. A weight is
drawn as a square whose area is the weight, so that size alone tells it.
"""

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tasks.probe.page.head_grid import PLACES, HeadGrid
from tasks.report.inset import Inset
from tasks.report.page import format_number

_LEVELS = 10  # sizes of squares
_LABEL_LETTERS = 14
_CELL, _LEFT, _TOP, _RIGHT = 15, 104, 88, 128  # of a sentence's picture, in its units

_STYLE = """\
.heads .grid { display: grid; gap: 4px; align-items: stretch; overflow-x: auto; padding: 3px; }
.heads .grid > span { color: var(--muted); font-size: .8rem; align-self: center; }
.heads label {
  position: relative; display: block; cursor: pointer; padding: 3px 5px;
  min-width: 5rem; text-align: center;
  border: 1px solid var(--line); border-radius: 6px; font-size: .74rem; line-height: 1.25;
  font-variant-numeric: tabular-nums; background: var(--card);
}
.heads label input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; }
.heads label:has(:checked) { outline: 2px solid var(--reference); }
.heads label:has(:focus-visible) { outline-width: 4px; }
.heads label svg { display: block; width: 100%; height: 30px; margin-bottom: 4px; }
.heads .bars { stroke: var(--ink); stroke-width: .8; fill: none; }
.heads .key { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; align-items: end; }
.heads .key .note { flex: 1 1 22rem; }
.heads .key svg { width: 460px; max-width: 100%; height: auto; }
.heads .panels { margin-top: .9rem; }
.heads .chosen { display: none; }
.heads .sentences {
  display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin-top: .6rem;
}
.heads .sentences svg { max-width: 100%; height: auto; }
.heads text { font-family: var(--font); font-size: 11px; fill: var(--ink); }
.heads .soft { fill: var(--muted); }
.heads .lines { stroke: var(--grid); stroke-width: .6; fill: none; }
.heads .map path { stroke: var(--ink); stroke-linecap: square; fill: none; }
@media print {
  .heads label { min-width: 0; padding: 1px 2px; font-size: 6.5pt; }
  .heads .sentences { break-inside: avoid; }
}
"""


def head_grid_inset(grid: HeadGrid, *, name: str = "heads") -> Inset:
    """The grid, and beneath it the chosen head's attention over the example sentences.

    The head of the lowest entropy is the one that is open at first.

    Size: about 7 bytes for each weight of at least 0.01, 50 bytes for each head and token, 600
    bytes for each head: under 1.2 MB for 6 layers of 6 heads over three sentences of 24 tokens
    however the attention lies, and little more for any larger encoder (`MAX_WEIGHTS`).

    Args:
        grid: what to show.
        name: makes ids and class names its own where a page holds several grids.
    """
    heads = [(layer, head) for layer in range(grid.num_layers) for head in range(grid.num_heads)]
    html = Markup("\n").join(
        [
            Markup('<div class="heads">'),
            _key(),
            *_cells(grid, name),
            Markup('<div class="panels">'),
            *(_account(grid, name, layer, head) for layer, head in heads),
            Markup('<div class="sentences">'),
            *(_sentence(grid, name, sentence) for sentence in range(len(grid.labels))),
            Markup("</div></div></div>"),
        ]
    )
    shown = ",\n".join(
        f".heads:has(#{own}:checked) .{own}"
        for own in (_id(name, layer, head) for layer, head in heads)
    )
    return Inset(says=_says(grid), html=html, style=f"{_STYLE}{shown} {{ display: inline; }}\n")


def _says(grid: HeadGrid) -> str:
    entropy_N = grid.entropy_KH.ravel()
    narrow, broad = (
        (int(place) // grid.num_heads + 1, int(place) % grid.num_heads, entropy_N[place])
        for place in (entropy_N.argmin(), entropy_N.argmax())
    )
    return (
        f"Head {narrow[1]} of layer {narrow[0]} looks at the fewest tokens (entropy "
        f"{format_number(narrow[2], 2)} nats), head {broad[1]} of layer {broad[0]} spreads widest "
        f"({format_number(broad[2], 2)}). Choose a head to see its attention over "
        f"{len(grid.labels)} example sentences."
    )


def _id(name: str, layer: int, head: int) -> str:
    return f"{name}-{layer + 1}-{head}"


def _key() -> Markup:
    """What the bars of a cell are."""
    even = np.full(len(PLACES), 0.55)
    names = Markup("").join(
        Markup('<text x="{}" y="30" text-anchor="middle" class="soft">{}</text>').format(
            46 * place + 23, words
        )
        for place, words in enumerate(PLACES)
    )
    return Markup(
        '<div class="key"><svg viewBox="0 0 460 34" role="img" aria-label="{}">'
        '<g transform="scale(46 16)">{}</g>{}</svg>'
        '<p class="note">Bars: the share of attention on special tokens, then on tokens so many '
        "places before (\u2212) or after (+) the one that asks. Numbers: entropy in nats and mean "
        "distance in tokens. The darker a cell, the lower its entropy.</p></div>"
    ).format("The bars of a cell from left to right: " + ", ".join(PLACES), _bars(even), names)


def _bars(share_P: NDArray[np.float64]) -> Markup:
    """Bars of unit width and height, the lowest share a hairline; one path."""
    strokes = "".join(
        f"M{place + 0.5:.1f} 1v{-max(0.03, share):.2f}" for place, share in enumerate(share_P)
    )
    return Markup('<path class="bars" d="{}"/>').format(strokes)


def _cells(grid: HeadGrid, name: str) -> Iterator[Markup]:
    columns = f"grid-template-columns: auto repeat({grid.num_heads}, minmax(5rem, 1fr))"
    yield Markup('<div class="grid" style="{}"><span></span>').format(columns)
    for head in range(grid.num_heads):
        yield Markup("<span>head {}</span>").format(head)
    narrowest = divmod(int(grid.entropy_KH.argmin()), grid.num_heads)
    for layer in reversed(range(grid.num_layers)):
        yield Markup("<span>layer {}</span>").format(layer + 1)
        for head in range(grid.num_heads):
            yield _cell(grid, name, layer, head, is_first=(layer, head) == narrowest)
    yield Markup("</div>")


def _cell(grid: HeadGrid, name: str, layer: int, head: int, *, is_first: bool) -> Markup:
    entropy = float(grid.entropy_KH[layer, head])
    shade = 0.34 * max(0.0, 1 - entropy / (float(grid.entropy_KH.max()) or 1.0))
    return Markup(
        '<label style="background:rgb(11 107 184/{})">'
        '<input type="radio" name="{}" id="{}" aria-label="layer {}, head {}"{}>'
        '<svg viewBox="0 0 10 1" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
        "{} nats<br>{} tokens</label>"
    ).format(
        f"{shade:.2f}",
        name,
        _id(name, layer, head),
        layer + 1,
        head,
        Markup(" checked") if is_first else "",
        _bars(grid.profile_KHP[layer, head]),
        format_number(entropy, 2),
        format_number(float(grid.distance_KH[layer, head]), 1),
    )


def _account(grid: HeadGrid, name: str, layer: int, head: int) -> Markup:
    """One head in words."""
    shares = " · ".join(
        f"{place}: {format_number(share, 2)}"
        for place, share in zip(PLACES, grid.profile_KHP[layer, head].tolist(), strict=True)
    )
    return Markup(
        '<span class="chosen {}"><strong>Layer {}, head {}.</strong> Entropy {} nats, mean '
        "distance {} tokens. Shares over the {} tokens of these sentences: {}.</span>"
    ).format(
        _id(name, layer, head),
        layer + 1,
        head,
        format_number(float(grid.entropy_KH[layer, head]), 2),
        format_number(float(grid.distance_KH[layer, head]), 1),
        grid.num_tokens,
        shares,
    )


def _sentence(grid: HeadGrid, name: str, sentence: int) -> Markup:
    """The frame of one sentence, drawn once, and every head's squares in it."""
    labels = [_shorten(label) for label in grid.labels[sentence]]
    percent_KHLL = grid.percent_SKHLL[sentence]
    size = _CELL * len(labels)
    maps = Markup("").join(
        _map(name, layer, head, percent_KHLL[layer, head], labels)
        for layer in range(grid.num_layers)
        for head in range(grid.num_heads)
    )
    width, height = _LEFT + size + _RIGHT, _TOP + size + 4
    says = f"Attention of the chosen head over example sentence {sentence + 1}"
    return Markup(
        '<svg width="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>'
    ).format(width, width, height, says, _frame(labels), maps)


def _frame(labels: list[str]) -> Markup:
    size = _CELL * len(labels)
    lines = "".join(
        f"M{_LEFT} {_TOP + _CELL * place}h{size}M{_LEFT + _CELL * place} {_TOP}v{size}"
        for place in range(len(labels) + 1)
    )
    rows = Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            _LEFT - 5, _TOP + _CELL * place + 11, label
        )
        for place, label in enumerate(labels)
    )
    columns = Markup("").join(
        Markup('<text transform="translate({} {})rotate(-60)">{}</text>').format(
            _LEFT + _CELL * place + 10, _TOP - 5, label
        )
        for place, label in enumerate(labels)
    )
    heads = Markup(
        '<text x="0" y="11" class="soft">each row: who asks</text>'
        '<text x="0" y="25" class="soft">columns: who is looked at</text>'
        '<text x="{}" y="{}" class="soft">most on</text>'
    ).format(_LEFT + size + 6, _TOP - 5)
    return Markup('<path class="lines" d="{}"/>{}{}{}').format(lines, heads, rows, columns)


def _map(
    name: str, layer: int, head: int, percent_LL: NDArray[np.uint8], labels: list[str]
) -> Markup:
    """The squares of one head, those of a size as one path; beside each row where it looks most."""
    level_LL = np.rint(_LEVELS * np.sqrt(percent_LL / 100)).astype(int)
    paths = [
        f'<path stroke-width="{0.092 * level:.2f}" d="{_dots(level_LL == level)}"/>'
        for level in np.unique(level_LL[percent_LL > 0]).tolist()
    ]
    beside = Markup("").join(
        Markup('<tspan x="{}" y="{}">{} {:.2f}</tspan>').format(
            _LEFT + _CELL * len(labels) + 6,
            _TOP + _CELL * row + 11,
            labels[most],
            int(percent_LL[row, most]) / 100,
        )
        for row, most in enumerate(percent_LL.argmax(axis=1).tolist())
    )
    move = f"translate({_LEFT + _CELL / 2} {_TOP + _CELL / 2})scale({_CELL})"
    return Markup(
        '<g class="chosen {}"><g class="map" transform="{}">{}</g><text>{}</text></g>'
    ).format(_id(name, layer, head), move, Markup("".join(paths)), beside)


def _dots(is_there_LL: NDArray[np.bool_]) -> str:
    """A line of no length in every cell that is there: its ends are a square."""
    return "".join(f"M{column} {row}h0" for row, column in np.argwhere(is_there_LL).tolist())


def _shorten(label: str) -> str:
    return label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1] + "…"
