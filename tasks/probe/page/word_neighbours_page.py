"""The neighbours of a word as markup: a column a context, a row a layer, the static list on top."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from tasks.probe.page.word_neighbours import Nearest, Neighbour, WordNeighbours
from tasks.probe.page.wording import layer_name
from tasks.probe.sample_words import Occurrence
from tasks.report.inset import Inset
from tasks.report.page import format_number

_STYLE = """\
.neighbours { width: 100%; }
.neighbours th, .neighbours td { white-space: normal; vertical-align: top; min-width: 13rem; }
.neighbours th:first-child, .neighbours td:first-child { min-width: 4.5rem; color: var(--muted); }
.neighbours thead th { color: var(--ink); font-weight: 400; }
.neighbours ol { margin: 0; padding: 0; list-style: none; }
.neighbours li { margin: 0 0 .3rem; line-height: 1.3; }
.neighbours li > span { display: block; color: var(--muted); font-size: .8rem; }
.neighbours li.same { border-bottom: 1px dashed var(--line); padding-bottom: .3rem; }
.neighbours mark { background: none; color: inherit; font-weight: 700; }
@media print { .neighbours tr { break-inside: avoid; } .neighbours th { min-width: 0; } }
"""


def word_neighbours_inset(found: WordNeighbours) -> Inset:
    """The table. Size: about 250 bytes for each layer, context and neighbour."""
    html = Markup("\n").join(
        [
            Markup('<div class="scroll"><table class="neighbours">'),
            _heading(found.contexts),
            Markup("<tbody>"),
            _static_row(found),
            *_layer_rows(found),
            Markup("</tbody></table></div>"),
            Markup(
                '<p class="note">In each cell first the nearest other occurrence of the same word, '
                "below the line the nearest occurrences of other words, each word once, out of "
                "{} in the sample; numbers are cosines. Contexts are those that differ most at "
                "the last layer.</p>"
            ).format(f"{found.num_candidates:,}"),
        ]
    )
    return Inset(says=_says(found), html=html, style=_STYLE)


def _says(found: WordNeighbours) -> str:
    alike = found.self_similarity_K
    return (
        f"“{found.word}” occurs {found.num_occurrences:,} times in the sample. The mean cosine of "
        f"two occurrences goes from {format_number(alike[0], 2)} in {layer_name(0)} to "
        f"{format_number(alike[-1], 2)} in {layer_name(len(alike) - 1)}"
        + (", where Word2Vec has one vector for all." if found.static else ".")
    )


def _heading(contexts: Sequence[Occurrence]) -> Markup:
    cells = Markup("").join(
        Markup('<th scope="col">{}</th>').format(_snippet(context)) for context in contexts
    )
    return Markup('<thead><tr><th scope="col">in context</th>{}</tr></thead>').format(cells)


def _static_row(found: WordNeighbours) -> Markup:
    if found.static is None:
        words = "no vector of this word"
    else:
        words = ", ".join(f"{word} {format_number(cosine, 2)}" for word, cosine in found.static)
    return Markup(
        '<tr class="emphasized"><td>Word2Vec</td><td colspan="{}">{} (whatever the context)</td>'
        "</tr>"
    ).format(len(found.contexts), words)


def _layer_rows(found: WordNeighbours) -> Iterator[Markup]:
    num_layers = len(found.self_similarity_K)
    for layer in range(num_layers):
        cells = Markup("").join(_cell(by_layer[layer]) for by_layer in found.nearest_CK)
        yield Markup("<tr><td>{}</td>{}</tr>").format(layer_name(layer), cells)


def _cell(nearest: Nearest) -> Markup:
    items = Markup("").join(_item(other) for other in nearest.others)
    return Markup('<td><ol><li class="same">same word {}{}</li>{}</ol></td>').format(
        format_number(nearest.same.cosine, 2), _small(nearest.same.occurrence), items
    )


def _item(other: Neighbour) -> Markup:
    return Markup("<li><b>{}</b> {}{}</li>").format(
        other.occurrence.word, format_number(other.cosine, 2), _small(other.occurrence)
    )


def _small(occurrence: Occurrence) -> Markup:
    return Markup("<span>{}</span>").format(_snippet(occurrence))


def _snippet(occurrence: Occurrence) -> Markup:
    return Markup("{}<mark>{}</mark>{}").format(
        occurrence.before, occurrence.word, occurrence.after
    )
