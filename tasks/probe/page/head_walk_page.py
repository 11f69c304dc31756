"""One head in numbers as markup: each step with its formula, its shapes and its numbers.

What a step shows follows from what is shown above it within rounding; the lists that are too long
for the tables stand folded at the end, whole. So a reader with a calculator can check every number.

Letters: L tokens, D hidden width, E head size, F half of it, C columns shown.
"""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tasks.probe.page.head_walk import HeadWalk
from tasks.report.inset import Inset
from tasks.report.page import format_number

SHOWN = 3  # numbers of a vector in tables
DIGITS = 3
LIST_DIGITS = 4  # in the folded lists, which more is computed from
_MAX_OUTPUTS = 3

_STYLE = """\
.walk { padding-left: 1.3rem; }
.walk > li { margin: 1.1rem 0; break-inside: avoid; }
.walk > li > p { margin: .2rem 0; }
.walk .shape { color: var(--muted); font-size: .85rem; white-space: nowrap; }
.walk i { font-family: Georgia, "Times New Roman", serif; }
.walk table { font-size: .85rem; }
.walk th.group { text-align: center; border-bottom: 1px solid var(--muted); }
.walk td, .walk th { padding: .16rem .6rem .16rem .2rem; }
.walk tfoot td { border-top: 2px solid var(--muted); font-weight: 600; }
.walk .bar { display: inline-block; border-top: .6em solid var(--subject); }
.walk-lists p { font-size: .78rem; max-width: none; font-variant-numeric: tabular-nums; }
.walk-lists b { font-weight: 600; }
"""


def head_walk_inset(walk: HeadWalk) -> Inset:
    """The steps as an ordered list.

    Size: about 9 bytes for each number of the keys and values and of five vectors of the hidden
    width, 150 bytes for each token of each table: under 70 kB for 16 tokens, a width of 384 and
    heads of 64.
    """
    steps = [
        _inputs(walk),
        _projections(walk),
        _turn(walk),
        _scores(walk),
        _sums(walk),
        _output(walk),
    ]
    items = Markup("").join(Markup("<li>{}</li>").format(step) for step in steps)
    html = Markup('<ol class="walk">{}</ol>{}').format(items, _lists(walk))
    return Inset(says=_says(walk), html=html, style=_STYLE)


def _says(walk: HeadWalk) -> str:
    most = int(walk.weight_LL[walk.asking].argmax())
    return (
        f"“{' '.join(walk.labels)}” in head {walk.head} of layer {walk.layer}: the token "
        f"“{_asking(walk)}” takes {format_number(walk.weight_LL[walk.asking, most], 3)} of what it "
        f"gathers from “{walk.labels[most]}”. Numbers are rounded for showing only."
    )


def _asking(walk: HeadWalk) -> str:
    return walk.labels[walk.asking]


def _inputs(walk: HeadWalk) -> Markup:
    num_tokens, width = walk.input_LD.shape
    rows = [
        [label, *_numbers(vector_D[:SHOWN]), "…"]
        for label, vector_D in zip(walk.labels, walk.input_LD, strict=True)
    ]
    return _step(
        "Token vectors",
        f"<i>X</i>: {num_tokens} tokens × {width} numbers",
        "What the layer is given: the states of the layer below, normed where the layer norms.",
        _table([("token", 1), (f"first {SHOWN} of {width} numbers", SHOWN + 1)], rows, walk.asking),
    )


def _projections(walk: HeadWalk) -> Markup:
    num_tokens, width = walk.input_LD.shape
    size = walk.value_LE.shape[1]
    parts = (walk.plain_query_LE, walk.plain_key_LE, walk.value_LE)
    rows = [
        [label, *(text for part in parts for text in [*_numbers(part[row, :SHOWN]), "…"])]
        for row, label in enumerate(walk.labels)
    ]
    heads = [("token", 1), ("query", SHOWN + 1), ("key", SHOWN + 1), ("value", SHOWN + 1)]
    return _step(
        "Queries, keys, values",
        f"<i>Q</i> = <i>X W</i><sub>Q</sub>, <i>K</i> = <i>X W</i><sub>K</sub>, <i>V</i> = "
        f"<i>X W</i><sub>V</sub>: ({num_tokens} × {width}) · ({width} × {size}) = "
        f"{num_tokens} × {size} each",
        f"The head's three matrices make {size} numbers of each token's {width}. The first number "
        f"of the query of “{_asking(walk)}” is {_products(walk)} = "
        f"{_number(walk.plain_query_LE[walk.asking, 0])}.",
        _table(heads, rows, walk.asking),
    )


def _products(walk: HeadWalk) -> str:
    """The first products of the asking token's first query number."""
    pairs = zip(walk.input_LD[walk.asking], walk.query_weight_ED[0], strict=True)
    shown = [
        f"{_factor(one, LIST_DIGITS)} × {_factor(other, LIST_DIGITS)}"
        for (one, other), _ in zip(pairs, range(2), strict=False)
    ]
    return " + ".join(shown) + f" + … ({len(walk.query_weight_ED[0])} products)"


def _turn(walk: HeadWalk) -> Markup:
    num_tokens, half = walk.cos_LF.shape
    at = walk.asking
    cos, sin = walk.cos_LF[at, 0], walk.sin_LF[at, 0]
    first, second = walk.plain_query_LE[at, 0], walk.plain_query_LE[at, half]
    rows = [
        [
            label,
            str(row),
            *_numbers(walk.query_LE[row, :SHOWN]),
            "…",
            *_numbers(walk.key_LE[row, :SHOWN]),
            "…",
        ]
        for row, label in enumerate(walk.labels)
    ]
    return _step(
        "Turn by position",
        f"<i>Q</i> and <i>K</i> stay {num_tokens} × {2 * half}",
        f"Numbers 1 and {half + 1}, 2 and {half + 2}, … of queries and keys are points in a plane, "
        "turned by an angle that grows with the token's position, so that scores know distances. "
        f"“{_asking(walk)}” is at position {at}: its first number becomes {_factor(first)} × "
        f"{_factor(cos)} \u2212 {_factor(second)} × {_factor(sin)} = "
        f"{_number(walk.query_LE[at, 0])}.",
        _table([("token", 1), ("position", 1), ("query", SHOWN + 1), ("key", SHOWN + 1)], rows, at),
    )


def _scores(walk: HeadWalk) -> Markup:
    num_tokens, size = walk.key_LE.shape
    score_L, weight_L = walk.score_LL[walk.asking], walk.weight_LL[walk.asking]
    dot_L = walk.key_LE @ walk.query_LE[walk.asking]
    above_L = np.exp(score_L - score_L.max())
    rows = [
        [
            label,
            _number(dot_L[row]),
            _number(score_L[row]) if walk.sees_LL[walk.asking, row] else "not seen",
            _number(above_L[row]),
            _number(weight_L[row]),
            _bar(weight_L[row]),
        ]
        for row, label in enumerate(walk.labels)
    ]
    heads = [("key of", 1), ("q · k", 1), (f"score: / √{size}", 1)]
    heads += [("exp(score \u2212 highest)", 1), ("weight", 1), ("", 1)]
    foot = ["sum", "", "", _number(above_L.sum()), _number(weight_L.sum()), ""]
    return _step(
        "Scores and weights",
        f"softmax(<i>Q K</i><sup>T</sup> / √<i>d</i><sub>k</sub>): ({num_tokens} × {size}) · "
        f"({size} × {num_tokens}) = {num_tokens} × {num_tokens}; shown is the row of the token "
        "that asks",
        f"The turned query of “{_asking(walk)}” times each turned key, divided by √{size} = "
        f"{_number(size**0.5)}; then each exponential over the sum of all.",
        _table(heads, rows, walk.asking, foot),
    )


def _sums(walk: HeadWalk) -> Markup:
    num_tokens, size = walk.value_LE.shape
    weight_L = walk.weight_LL[walk.asking]
    rows = [
        [
            label,
            _number(weight_L[row]),
            *_numbers(walk.value_LE[row, :SHOWN]),
            "…",
            *_numbers(weight_L[row] * walk.value_LE[row, :SHOWN]),
            "…",
        ]
        for row, label in enumerate(walk.labels)
    ]
    heads = [("token", 1), ("weight", 1), ("value", SHOWN + 1), ("weight × value", SHOWN + 1)]
    gathered = _numbers(walk.gathered_LE[walk.asking, :SHOWN])
    foot = ["sum", _number(weight_L.sum()), *[""] * (SHOWN + 1), *gathered, "…"]
    return _step(
        "Weighted sum",
        f"softmax(…) <i>V</i>: (1 × {num_tokens}) · ({num_tokens} × {size}) = 1 × {size}",
        f"“{_asking(walk)}” gathers the values of all tokens, each times its weight.",
        _table(heads, rows, walk.asking, foot),
    )


def _output(walk: HeadWalk) -> Markup:
    width, size = walk.output_weight_DE.shape
    at, shown = walk.asking, slice(0, _MAX_OUTPUTS)
    rows = [
        ["this head", *_numbers(walk.contribution_LD[at, shown]), "…"],
        [f"the other {walk.num_heads - 1} heads", *_numbers(walk.others_LD[at, shown]), "…"],
    ]
    foot = ["sum", *_numbers(walk.output_LD[at, shown]), "…"]
    rows_and_module = [
        *rows,
        foot,
        ["the layer's own code", *_numbers(walk.module_LD[at, shown]), "…"],
    ]
    error = float(np.abs(walk.output_LD - walk.module_LD).max())
    return _step(
        "Output",
        f"<i>W</i><sub>O</sub> <i>z</i>: ({width} × {size}) · ({size}) = {width}",
        f"The output projection turns the {size} gathered numbers into {width}; all heads add up "
        "to what attention gives, which the layer then adds to the token's state. Over all tokens "
        f"the sum is at most {error:.0e} away from what the layer's own code computes.",
        _table(
            [("", 1), (f"first {_MAX_OUTPUTS} of {width} numbers", _MAX_OUTPUTS + 1)],
            rows_and_module,
            2,
        ),
    )


def _lists(walk: HeadWalk) -> Markup:
    """The vectors that the steps take their numbers from, whole."""
    at = walk.asking
    asking = f"“{_asking(walk)}”"
    named: list[tuple[str, str, NDArray[np.float64]]] = [
        ("input", f"vector of {asking}", walk.input_LD[at]),
        ("query-weight", "first column of W_Q", walk.query_weight_ED[0]),
        ("plain-query", f"query of {asking} before the turn", walk.plain_query_LE[at]),
        ("query", f"query of {asking} after it", walk.query_LE[at]),
        ("gathered", f"z, what {asking} gathers", walk.gathered_LE[at]),
    ]
    named += [
        (
            f"output-weight-{row}",
            f"row {row + 1} of W_O, the head's part",
            walk.output_weight_DE[row],
        )
        for row in range(_MAX_OUTPUTS)
    ]
    for row, label in enumerate(walk.labels):
        named.append((f"key-{row}", f"key of “{label}” after the turn", walk.key_LE[row]))
        named.append((f"value-{row}", f"value of “{label}”", walk.value_LE[row]))
    paragraphs = Markup("").join(
        Markup('<p><b>{}</b> ({} numbers): <span data-list="{}">{}</span></p>').format(
            words, len(vector), key, " ".join(_numbers(vector, LIST_DIGITS))
        )
        for key, words, vector in named
    )
    return Markup(
        '<details class="walk-lists"><summary>All numbers that these steps are computed from'
        "</summary>{}</details>"
    ).format(paragraphs)


def _step(title: str, formula: str, words: str, table: Markup) -> Markup:
    """One step; `formula` is markup of this module's own, `words` are text."""
    return Markup('<p><strong>{}</strong> <span class="shape">{}</span></p><p>{}</p>{}').format(
        title, Markup(formula), words, table
    )


def _table(
    heads: Sequence[tuple[str, int]],
    rows: Sequence[Sequence[str | Markup]],
    marked: int,
    foot: Sequence[str] = (),
) -> Markup:
    """Rows under headings that span columns; the row of the token that asks is marked."""
    heading = Markup("").join(
        Markup('<th scope="col" colspan="{}"{}>{}</th>').format(
            span, Markup(' class="group"') if span > 1 else "", words
        )
        for words, span in heads
    )
    body = Markup("").join(
        _row(cells, Markup(' class="emphasized"') if place == marked else Markup(""))
        for place, cells in enumerate(rows)
    )
    feet = Markup("<tfoot>{}</tfoot>").format(_row(foot, Markup(""))) if foot else Markup("")
    return Markup(
        '<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody>{}</table></div>'
    ).format(heading, body, feet)


def _row(cells: Sequence[str | Markup], attributes: Markup) -> Markup:
    inner = Markup("").join(
        Markup("<td{}>{}</td>").format(
            Markup(' class="number"') if place and not isinstance(cell, Markup) else "", cell
        )
        for place, cell in enumerate(cells)
    )
    return Markup("<tr{}>{}</tr>").format(attributes, inner)


def _bar(weight: float) -> Markup:
    return Markup('<span class="bar" style="width:{}em"></span>').format(f"{8 * weight:.2f}")


def _factor(value: float, digits: int = DIGITS) -> str:
    shown = _number(value, digits)
    return f"({shown})" if shown.startswith("\u2212") else shown


def _numbers(values: NDArray[np.float64], digits: int = DIGITS) -> list[str]:
    return [_number(value, digits) for value in values.tolist()]


def _number(value: float, digits: int = DIGITS) -> str:
    return format_number(float(value), digits)
