"""The grid of heads: true to the encoder's attention, escaped, bounded in size."""

import re

import numpy as np
import pytest
import torch

from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.encoder import Encoder
from model.initialization import initialize
from tasks.probe.page.head_grid import (
    MAX_LABEL,
    MAX_TOKENS,
    MAX_WEIGHTS,
    PLACES,
    HeadGrid,
    head_values,
    observe_heads,
)
from tasks.probe.page.head_grid_page import head_grid_inset
from tasks.probe.table import Row
from tests.tasks.probe.encoders import CONFIG, plain_encoder
from tests.tasks.probe.spelling import (
    FIRST_WORD,
    HOSTILE,
    Elements,
    numbered_text,
    rules_of,
    text_of,
)

SENTENCES = [np.arange(7, 7 + length, dtype=np.uint16) for length in (9, 1, 40)]
ENTROPY = np.array([[0.5, 1.0], [2.0, 0.25], [1.5, 1.25]])


def grid() -> HeadGrid:
    return observe_heads(
        plain_encoder(),
        SENTENCES,
        numbered_text(CONFIG.vocab_size - FIRST_WORD),
        entropy_KH=ENTROPY,
        distance_KH=2 * ENTROPY,
    )


def attention_of(encoder: Encoder, sentence: np.ndarray) -> np.ndarray:
    batch = batch_from_sequences([sentence], row_tokens=None, cls_id=2, sep_id=3, pad_id=0)
    with torch.inference_mode():
        seen = [one.attention_BHLL for one in encoder.observe(batch, attention=True)]
    return np.stack([one[0].double().numpy() for one in seen if one is not None])


def made_grid(num_layers: int, num_heads: int, labels: list[str]) -> HeadGrid:
    """A grid whose every weight is drawn, in as many sizes as there are."""
    generator = np.random.default_rng(0)
    shape = (num_layers, num_heads)
    size = len(labels)
    return HeadGrid(
        labels=[labels] * 3,
        percent_SKHLL=[
            generator.integers(1, 100, (*shape, size, size)).astype(np.uint8) for _ in range(3)
        ],
        profile_KHP=np.full((*shape, len(PLACES)), 0.1),
        entropy_KH=generator.random(shape),
        distance_KH=generator.random(shape),
        num_tokens=66,
    )


def test_weights_are_the_encoders_in_hundredths() -> None:
    for sentence, percent in zip(SENTENCES, grid().percent_SKHLL, strict=True):
        weights = attention_of(plain_encoder(), sentence[: MAX_TOKENS - 2])
        assert percent.shape == weights.shape
        assert np.abs(percent / 100 - weights).max() <= 0.005 + 1e-6
    assert [len(labels) for labels in grid().labels] == [11, 3, MAX_TOKENS]
    assert grid().labels[1] == ["[CLS]", "w2", "[SEP]"]


def test_profile_is_counted_place_by_place() -> None:
    expected = np.zeros((3, 2, len(PLACES)))
    for sentence in SENTENCES:
        weights = attention_of(plain_encoder(), sentence[: MAX_TOKENS - 2])
        last = weights.shape[-1] - 1
        for asking in range(1, last):
            for key in range(last + 1):
                offset = max(-4, min(4, key - asking))
                place = 0 if key in (0, last) else offset + 5
                expected[:, :, place] += weights[:, :, asking, key]
    expected /= 9 + 1 + 22
    np.testing.assert_allclose(grid().profile_KHP, expected, atol=1e-6)
    np.testing.assert_allclose(grid().profile_KHP.sum(-1), 1.0, atol=1e-6)
    assert grid().num_tokens == 32


def test_many_heads_get_fewer_and_shorter_sentences() -> None:
    config = EncoderConfig(
        vocab_size=300, hidden_size=32, num_layers=24, num_heads=16, intermediate_size=8
    )
    encoder = Encoder(config)
    initialize(encoder, config, 0)
    values = np.ones((24, 16))
    made = observe_heads(
        encoder.eval(), SENTENCES[::-1], numbered_text(295), entropy_KH=values, distance_KH=values
    )
    assert sum(percent.size for percent in made.percent_SKHLL) <= MAX_WEIGHTS
    assert [len(labels) for labels in made.labels] == [13]
    assert len(head_grid_inset(made).html.encode()) < 1_500_000


def test_values_come_out_of_rows_by_layer_and_head() -> None:
    rows = [
        Row(measure=name, layer=layer, head=head, split="s", value=value, low=value, high=value)
        for name in ("distance", "entropy")
        for (head, layer), value in np.ndenumerate(ENTROPY.T + 10 * (name == "distance"))
        for layer in [layer + 1]
    ]
    assert head_values(rows[::-1], "entropy").tolist() == ENTROPY.tolist()


def test_page_has_a_choice_for_each_head_and_one_is_made() -> None:
    inset = head_grid_inset(grid())
    elements = Elements(inset.html)
    elements.assert_harmless()
    assert all(".heads" in rule or "@media" in rule for rule in rules_of(inset.style))
    ids = elements.all_of("id")
    assert len(set(ids)) == len(ids) == elements.tags.count("input") == 6
    assert len(elements.all_of("checked")) == 1
    assert re.findall(r'id="([^"]*)"[^>]* checked', inset.html) == ["heads-2-1"]
    shown = re.findall(r"\.heads:has\(#([\w-]+):checked\) \.([\w-]+)", inset.style)
    assert [(one, one) for one in sorted(ids)] == sorted(shown)
    classes = elements.all_of("class")
    # A line of words, and a picture for each sentence.
    assert all(classes.count(f"chosen {one}") == 1 + len(SENTENCES) for one in ids)
    assert "Head 1 of layer 2 looks at the fewest tokens (entropy 0.25 nats)" in inset.says
    assert "head 0 of layer 2 spreads widest (2.00)" in inset.says
    assert "0.25 nats" in elements.text
    assert "0.5 tokens" in elements.text


def test_every_weight_that_shows_is_a_square_of_its_size() -> None:
    made = grid()
    html = head_grid_inset(made).html
    groups = re.findall(r'<g class="chosen heads-2-1">.*?</text></g>', html)
    assert len(groups) == 3
    for percent, group in zip(made.percent_SKHLL, groups, strict=True):
        drawn = np.zeros_like(percent[1, 1], dtype=float)
        for width, line in re.findall(r'stroke-width="([\d.]+)" d="([^"]*)"', group):
            for column, row in re.findall(r"M(\d+) (\d+)h0", line):
                drawn[int(row), int(column)] = float(width)
        assert ((drawn > 0) == (percent[1, 1] > 0)).all()
        # Ten sizes: a side is right to half of a tenth.
        assert np.abs(drawn / 0.92 - np.sqrt(percent[1, 1] / 100)).max() < 0.0501 + 0.006
        most = re.findall(r"<tspan[^>]*>(?:.*?) (\d\.\d\d)</tspan>", group)
        assert [round(100 * float(one)) for one in most] == percent[1, 1].max(axis=1).tolist()


def test_hostile_text_stays_text() -> None:
    words = text_of([HOSTILE, "\u202eevil\n", *map(str, range(293))])
    sentence = np.array([5, 6, 5], np.uint16)
    made = observe_heads(
        plain_encoder(), [sentence], words, entropy_KH=ENTROPY, distance_KH=ENTROPY
    )
    assert made.labels[0][1] == HOSTILE[: MAX_LABEL - 1] + "…"
    inset = head_grid_inset(made)
    elements = Elements(inset.html)
    elements.assert_harmless()
    assert HOSTILE[:10] in elements.text
    assert "\u202e" not in inset.html


def test_two_grids_on_a_page_do_not_meet() -> None:
    first, second = (
        set(Elements(head_grid_inset(grid(), name=name).html).all_of("id")) for name in ("a", "b")
    )
    assert first
    assert not first & second


@pytest.mark.parametrize("label", ["&" * 40, "w"])
def test_size_is_bounded_whatever_attention_and_labels_are(label: str) -> None:
    inset = head_grid_inset(made_grid(6, 6, [label] * MAX_TOKENS))
    assert len(inset.html.encode()) + len(inset.style.encode()) < 1_200_000
