"""One head in numbers: each step follows from the last one, up to what the layer computes."""

import re
from functools import cache

import numpy as np
import pytest
import torch

from model.attention import neighbourhood
from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.encoder import Encoder
from model.errors import RequestError
from tasks.probe.page.head_walk import MAX_TOKENS, HeadWalk, telling_head, walk_head
from tasks.probe.page.head_walk_page import DIGITS, LIST_DIGITS, SHOWN, head_walk_inset
from tests.model.encoders import lively_encoder
from tests.tasks.probe.spelling import HOSTILE, Elements, numbered_text, rules_of, text_of

CONFIG = EncoderConfig(
    vocab_size=60,
    hidden_size=24,
    num_layers=3,
    num_heads=2,
    intermediate_size=16,
    local_attention=6,
    global_attn_every_n_layers=2,
)
SENTENCE = np.array([9, 30, 17, 9, 41, 22, 8], np.uint16)
WINDOWED = 2  # the layer that sees three tokens to each side
HEADS = [(layer, head) for layer in (1, 2, 3) for head in (0, 1)]


@cache
def encoder() -> Encoder:
    return lively_encoder(CONFIG).eval()


@cache
def walk(layer: int, head: int, asking: int = 3) -> HeadWalk:
    return walk_head(encoder(), SENTENCE, numbered_text(55), layer=layer, head=head, asking=asking)


def close(one: np.ndarray, other: np.ndarray, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(one, other, atol=atol, rtol=0)


@pytest.mark.parametrize(("layer", "head"), HEADS)
def test_every_step_follows_from_the_one_before(layer: int, head: int) -> None:
    w = walk(layer, head)
    half = w.cos_LF.shape[1]
    close(w.plain_query_LE, w.input_LD @ w.query_weight_ED.T)
    close(w.plain_key_LE, w.input_LD @ w.key_weight_ED.T)
    close(w.value_LE, w.input_LD @ w.value_weight_ED.T)
    for plain, turned in ((w.plain_query_LE, w.query_LE), (w.plain_key_LE, w.key_LE)):
        as_numbers = plain[:, :half] + 1j * plain[:, half:]
        rotated = as_numbers * (w.cos_LF + 1j * w.sin_LF)
        close(turned, np.concatenate([rotated.real, rotated.imag], axis=1))
    close(w.score_LL[w.sees_LL], (w.query_LE @ w.key_LE.T / np.sqrt(2 * half))[w.sees_LL])
    assert np.isneginf(w.score_LL[~w.sees_LL]).all()
    above = np.exp(w.score_LL)
    close(w.weight_LL, above / above.sum(1, keepdims=True))
    close(w.gathered_LE, w.weight_LL @ w.value_LE)
    close(w.contribution_LD, w.gathered_LE @ w.output_weight_DE.T)


@pytest.mark.parametrize(("layer", "head"), HEADS)
def test_the_last_step_is_what_the_layer_computes(layer: int, head: int) -> None:
    w = walk(layer, head)
    batch = batch_from_sequences([SENTENCE], row_tokens=None, cls_id=2, sep_id=3, pad_id=0)
    block = encoder().layers[layer - 1]
    with torch.inference_mode():
        seen = list(encoder().observe(batch, attention=True))
        place = neighbourhood(batch, CONFIG, full=block.is_full, over="rows")
        given = block.attn_norm(seen[layer - 1].hidden_BLD)
        expected = block.attn(given, place)[0].double().numpy()
    close(w.module_LD, expected, 0.0)
    close(w.output_LD, expected, 1e-5)
    close(w.input_LD, given[0].double().numpy(), 0.0)
    attention = seen[layer].attention_BHLL
    assert attention is not None
    close(w.weight_LL, attention[0, head].double().numpy(), 1e-6)
    assert np.abs(w.others_LD).max() > 1e-2  # the head alone would not do


def test_a_windowed_layer_does_not_look_past_its_window() -> None:
    sees = walk(WINDOWED, 0).sees_LL
    place = np.arange(len(sees))
    assert (sees == (np.abs(place[:, None] - place) <= 3)).all()
    assert walk(1, 0).sees_LL.all()
    assert "not seen" in head_walk_inset(walk(WINDOWED, 0)).html


def test_heads_of_a_layer_add_up_alike() -> None:
    first, second = walk(3, 0), walk(3, 1)
    close(first.contribution_LD, second.others_LD)
    close(first.output_LD, second.output_LD)


def test_looking_changes_nothing() -> None:
    before = {name: value.clone() for name, value in encoder().state_dict().items()}
    walk_head(encoder(), SENTENCE, numbered_text(55), layer=2, head=1, asking=0)
    assert all(torch.equal(before[name], own) for name, own in encoder().state_dict().items())


def test_long_sentences_are_cut() -> None:
    long = np.arange(5, 55, dtype=np.uint16)
    made = walk_head(encoder(), long, numbered_text(55), layer=1, head=0, asking=1)
    assert len(made.labels) == MAX_TOKENS
    assert made.labels[:2] == ["[CLS]", "w0"]
    assert made.labels[-1] == "[SEP]"


@pytest.mark.parametrize(
    ("layer", "head", "asking", "words"),
    [(0, 0, 0, "no head 0 of layer 0"), (1, 2, 0, "no head 2"), (1, 0, 9, "no token 9")],
)
def test_what_is_not_there_is_named(layer: int, head: int, asking: int, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        walk_head(encoder(), SENTENCE, numbered_text(55), layer=layer, head=head, asking=asking)


def test_telling_head_is_the_most_decided_look_at_another_word() -> None:
    letters = [chr(97 + each // 26) + chr(97 + each % 26) for each in range(55)]
    letters[41 - 5] = "."
    layer, head, asking = telling_head(encoder(), SENTENCE, text_of(letters))
    best = -1.0
    for each in HEADS:
        weights = walk(*each).weight_LL
        for one in range(1, 8):
            for other in range(1, 8):
                if abs(one - other) > 1 and 5 not in (one, other) and weights[one, other] > best:
                    best, expected = weights[one, other], (*each, one)
    assert (layer, head, asking) == expected


def test_telling_head_of_a_sentence_without_such_a_look() -> None:
    assert telling_head(encoder(), SENTENCE[:2], numbered_text(55)) == (1, 0, 1)


def lists_in(html: str) -> dict[str, np.ndarray]:
    found = re.findall(r'<span data-list="([^"]*)">([^<]*)</span>', html)
    return {name: np.array([number(each) for each in text.split()]) for name, text in found}


def number(shown: str) -> float:
    return float(shown.replace("\u2212", "-"))


def tables_in(html: str) -> list[list[list[str]]]:
    return [
        [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", table)[1:]]
        for table in re.findall(r"<table>.*?</table>", html)
    ]


def column(table: list[list[str]], place: int) -> np.ndarray:
    return np.array([number(row[place]) for row in table])


HALF = 0.5 * 10.0**-DIGITS
LIST_HALF = 0.5 * 10.0**-LIST_DIGITS


def product_error(one: np.ndarray, other: np.ndarray) -> float:
    """By how much a sum of products of rounded numbers can be off."""
    return float(LIST_HALF * (np.abs(one) + np.abs(other) + LIST_HALF).sum())


@pytest.mark.parametrize(("layer", "head"), [(1, 1), (3, 0)])
def test_shown_numbers_follow_from_shown_numbers_within_rounding(layer: int, head: int) -> None:
    w = walk(layer, head)
    html = str(head_walk_inset(w).html)
    lists, tables = lists_in(html), tables_in(html)
    given, projected, turned, scored, summed, output = tables
    at, num, half = w.asking, len(w.labels), w.cos_LF.shape[1]

    first = lists["input"] @ lists["query-weight"]
    assert abs(number(projected[at][1]) - first) <= HALF + product_error(
        lists["input"], lists["query-weight"]
    )
    shown = re.search(r"becomes (\S+) × (\S+) \u2212 (\S+) × (\S+) = ([^ .]+\.\d+)", html)
    assert shown
    one, cos, two, sin, result = (number(each.strip("()")) for each in shown.groups())
    assert abs(one * cos - two * sin - result) <= HALF * (3 + abs(one) + abs(two))
    assert abs(one - lists["plain-query"][0]) <= HALF + LIST_HALF
    assert abs(two - lists["plain-query"][half]) <= HALF + LIST_HALF
    assert number(turned[at][2]) == result
    for row in range(num):
        assert abs(number(turned[row][SHOWN + 3]) - lists[f"key-{row}"][0]) <= HALF + LIST_HALF
        error = product_error(lists["query"], lists[f"key-{row}"])
        dot = number(scored[row][1])
        assert abs(dot - lists["query"] @ lists[f"key-{row}"]) <= HALF + error
        assert abs(number(scored[row][2]) - dot / np.sqrt(2 * half)) <= 2 * HALF
    scores, above, weights = (column(scored[:num], place) for place in (2, 3, 4))
    assert np.abs(above - np.exp(scores - scores.max())).max() <= 3 * HALF + 1e-5
    assert np.abs(weights - above / above.sum()).max() <= (num + 2) * HALF
    assert scored[num][:1] == ["sum"]
    assert abs(number(scored[num][3]) - above.sum()) <= (num + 1) * HALF
    assert number(scored[num][4]) == 1.0

    assert column(summed[:num], 1).tolist() == weights.tolist()
    for place in range(SHOWN):
        values, parts = (column(summed[:num], 2 + place + shift) for shift in (0, SHOWN + 1))
        exact = [lists[f"value-{row}"][place] for row in range(num)]
        assert np.abs(values - exact).max() <= HALF + LIST_HALF
        assert (np.abs(parts - weights * values) <= HALF * (2 + np.abs(values))).all()
        total = number(summed[num][SHOWN + 3 + place])
        assert abs(total - parts.sum()) <= (num + 1) * HALF
        assert abs(total - lists["gathered"][place]) <= HALF + LIST_HALF
        own, others, both, module = (number(row[1 + place]) for row in output)
        line = lists[f"output-weight-{place}"]
        assert abs(own - line @ lists["gathered"]) <= HALF + product_error(line, lists["gathered"])
        assert abs(own + others - both) <= 3 * HALF
        assert abs(both - module) <= 2 * HALF
    assert abs(number(given[at][1]) - lists["input"][0]) <= HALF + LIST_HALF


def test_shapes_are_told_in_full() -> None:
    inset = head_walk_inset(walk(1, 0))
    elements = Elements(inset.html)
    elements.assert_harmless()
    assert all(".walk" in rule for rule in rules_of(inset.style))
    assert "X: 9 tokens × 24 numbers" in elements.text
    assert "(9 × 24) · (24 × 12) = 9 × 12 each" in elements.text
    assert "(9 × 12) · (12 × 9) = 9 × 9" in elements.text
    assert "(1 × 9) · (9 × 12) = 1 × 12" in elements.text
    assert "(24 × 12) · (12) = 24" in elements.text


def test_hostile_text_stays_text_and_size_is_bounded() -> None:
    words = text_of([HOSTILE, *map(str, range(54))])
    config = EncoderConfig(
        vocab_size=60, hidden_size=384, num_layers=1, num_heads=6, intermediate_size=8
    )
    sentence = np.full(MAX_TOKENS, 5, np.uint16)
    made = walk_head(lively_encoder(config).eval(), sentence, words, layer=1, head=5, asking=2)
    inset = head_walk_inset(made)
    elements = Elements(inset.html)
    elements.assert_harmless()
    assert elements.text.count(HOSTILE[:23]) > 20
    assert HOSTILE[:23] in inset.says
    assert config.head_size == 64
    assert len(inset.html.encode()) < 70_000
