"""Examples for the report: heads over sentences, a word in its contexts, one sentence in numbers.

They quote the corpus.
"""

from dataclasses import dataclass

from model.encoder import Encoder
from tasks.probe.findings import Findings
from tasks.probe.page.example_sentences import example_sentences
from tasks.probe.page.head_grid import HeadGrid, head_values, observe_heads
from tasks.probe.page.head_walk import HeadWalk, telling_head, walk_head
from tasks.probe.page.word_neighbours import (
    StaticWords,
    WordNeighbours,
    spread_words,
    word_neighbours,
)
from tasks.probe.sample_words import Words
from tasks.probe.static_vectors import StaticEncoder
from tasks.probe.subject import AnyEncoder
from tasks.token_text import TokenText

_SHORT = 12  # tokens of a sentence whose numbers all are shown


@dataclass(frozen=True)
class Showcase:
    """The examples that the sample could supply.

    Attributes:
        grid: every head over example sentences; None where there are no sentences.
        neighbours: of the words whose contexts set them apart most.
        walk: one head over a short sentence; None where there is none, and for a BERT.
    """

    grid: HeadGrid | None
    neighbours: list[WordNeighbours]
    walk: HeadWalk | None


def showcase(encoder: AnyEncoder, findings: Findings, text: TokenText) -> Showcase:
    """Choose and compute the examples.

    Args:
        encoder: in evaluation mode.
        findings: of this encoder.
        text: spells its tokens.
    """
    return Showcase(
        grid=_grid(encoder, findings, text),
        neighbours=_neighbours(findings, text),
        walk=_walk(encoder, findings, text),
    )


def _grid(encoder: AnyEncoder, findings: Findings, text: TokenText) -> HeadGrid | None:
    sentences = example_sentences(findings.sample.documents, text)
    if not sentences:
        return None
    return observe_heads(
        encoder,
        sentences,
        text,
        entropy_KH=head_values(findings.heads, "entropy"),
        distance_KH=head_values(findings.heads, "distance"),
    )


def _walk(encoder: AnyEncoder, findings: Findings, text: TokenText) -> HeadWalk | None:
    if not isinstance(encoder, Encoder):
        return None  # the page shows rotary positions, and no biases
    for sentence in example_sentences(
        findings.sample.documents, text, num=1, min_tokens=4, max_tokens=_SHORT
    ):
        layer, head, asking = telling_head(encoder, sentence, text)
        return walk_head(encoder, sentence, text, layer=layer, head=head, asking=asking)
    return None


def _neighbours(findings: Findings, text: TokenText) -> list[WordNeighbours]:
    words = Words(findings.observed, text)
    static = _static_words(findings.static, text)
    names = spread_words(findings.observed, words, known=[each.strip() for each in static.words])
    found = (word_neighbours(findings.observed, words, name, static=static) for name in names)
    return [each for each in found if each is not None]


def _static_words(static: StaticEncoder, text: TokenText) -> StaticWords:
    known = static.is_known_V.nonzero().flatten().cpu()
    vectors_VD = static.vectors_VD.detach().cpu()[known].numpy()
    return StaticWords([text.spell([token]) for token in known.tolist()], vectors_VD)
