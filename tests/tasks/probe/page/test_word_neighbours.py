"""Neighbours of a word in context: exact on states made by hand, in whatever order they lie."""

import numpy as np
import pytest
import torch

from tasks.probe.observe import Observed, observe_sample
from tasks.probe.page.word_neighbours import (
    MAX_OCCURRENCES,
    StaticWords,
    spread_words,
    static_neighbours,
    word_neighbours,
)
from tasks.probe.page.word_neighbours_page import word_neighbours_inset
from tasks.probe.sample import draw_sample
from tasks.probe.sample_words import Words
from tests.tasks.probe.encoders import CONFIG, plain_encoder, rising_documents
from tests.tasks.probe.spelling import (
    FIRST_WORD,
    HOSTILE,
    Elements,
    numbered_text,
    rules_of,
    text_of,
)

VOCABULARY = ["Bank", "bank", "river", "money", "the", "of", ".", "x1", HOSTILE]
IDS = {word: place + FIRST_WORD for place, word in enumerate(VOCABULARY)}
# Each document ends in a full stop, because its last token may go on past the sample.
DOCUMENTS = [
    "the river of the Bank .",
    "money of the bank .",
    "the bank of money .",
    "the river of the bank .",
]
SENSES = {0: 0, 1: 90, 2: 80, 3: 10}  # degrees of "bank" in the last layer, by document
OTHERS = {"river": 5, "money": 85, "the": 200, "of": 215, ".": 300}


def at_angle(degrees: float) -> list[float]:
    return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]


def observed(documents: list[str] = DOCUMENTS, seed: int | None = None) -> Observed:
    """Two layers: in the first every "bank" is at 45 degrees; stored shuffled by `seed`."""
    types, owners, first, last = [], [], [], []
    for owner, document in enumerate(documents):
        for word in document.split():
            is_bank = word.lower() == "bank"
            types.append(IDS[word])
            owners.append(owner)
            first.append(at_angle(45 if is_bank else OTHERS.get(word, 250)))
            last.append(at_angle(SENSES[owner] if is_bank else OTHERS.get(word, 250)))
    states = torch.tensor([first, last], dtype=torch.float32)
    order = torch.arange(len(types))
    if seed is not None:  # documents change places, their tokens do not
        shuffled = np.random.default_rng(seed).permutation(len(documents))
        order = torch.cat([torch.nonzero(torch.tensor(owners) == each)[:, 0] for each in shuffled])
    return Observed(
        states[:, order],
        torch.tensor(types)[order],
        torch.tensor(owners)[order],
        torch.zeros(1, len(documents), 1, 6),
    )


def words_of(seen: Observed) -> Words:
    return Words(seen, text_of(VOCABULARY))


def cosine(first: float, second: float) -> float:
    return float(np.cos(np.radians(first - second)))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_contexts_differ_most_and_neighbours_are_the_nearest(seed: int | None) -> None:
    seen = observed(seed=seed)
    found = word_neighbours(seen, words_of(seen), "BANK", num_contexts=3, num_neighbours=2)
    assert found is not None
    assert (found.word, found.num_occurrences, found.num_candidates) == ("bank", 4, 14)
    # 0 and 90 degrees are least alike.
    shown = [f"{one.before}[{one.word}]{one.after}" for one in found.contexts]
    assert shown[:2] == [" the river of the [Bank] .", " money of the [bank] ."]
    last = [by_layer[-1] for by_layer in found.nearest_CK]
    assert [[one.occurrence.word for one in each.others] for each in last[:2]] == [
        ["river", "money"],
        ["money", "river"],
    ]
    assert last[0].others[0].cosine == pytest.approx(cosine(0, 5), abs=1e-6)
    assert last[0].same.cosine == pytest.approx(cosine(0, 10), abs=1e-6)
    assert last[0].same.occurrence.before == " the river of the "
    assert last[1].same.cosine == pytest.approx(cosine(90, 80), abs=1e-6)
    first = [by_layer[0] for by_layer in found.nearest_CK]
    assert all(each.same.cosine == pytest.approx(1.0) for each in first)
    assert found.self_similarity_K[0] == pytest.approx(1.0)
    pairs = [cosine(a, b) for a in SENSES.values() for b in SENSES.values() if a != b]
    assert found.self_similarity_K[1] == pytest.approx(np.mean(pairs), abs=1e-6)


def test_third_context_is_least_like_its_nearest_chosen_one() -> None:
    documents = ["bank ."] * 4
    senses = torch.tensor([at_angle(each) for each in (0, 170, 165, 60)], dtype=torch.float32)
    states = torch.zeros(1, 8, 2)
    states[0, ::2] = senses
    states[0, 1::2] = torch.tensor(at_angle(300))
    made = observed(documents)
    seen = Observed(states, made.types_N, made.document_N, made.head_sums_KSHM)
    found = word_neighbours(seen, words_of(seen), "bank")
    assert found is not None
    nearest = [each[0].same.cosine for each in found.nearest_CK]
    expected = [cosine(0, 60), cosine(170, 165), cosine(60, 0)]
    assert nearest == pytest.approx(expected, abs=1e-6)


def test_words_are_whole_tokens_of_letters() -> None:
    text = numbered_text(3)  # w0 has a digit
    assert Words(observed(["the bank ."]), text).names == []
    seen = observed(["the bank x1 . of", "river"])
    # "of" and "river" end their documents: the sample may have cut them.
    assert words_of(seen).names == ["the", "bank"]


def test_surroundings_are_cut_at_words_and_at_the_document() -> None:
    seen = observed(["the river . ", "money of the " * 4 + "bank" + " of the river" * 4 + " ."])
    words = words_of(seen)
    shown = words.occurrence(words.names.index("bank"))
    assert shown.before == "…of the money of the money of the "
    assert shown.after == " of the river of the river of the…"
    first = words.occurrence(0)
    assert (first.before, first.word, first.after) == (" ", "the", " river .")


def test_drift_chooses_the_word_that_was_spread() -> None:
    seen = observed()
    words = words_of(seen)
    assert spread_words(seen, words, num=9, min_occurrences=2)[0] == "bank"
    assert "of" not in spread_words(seen, words, num=9, min_occurrences=2)
    assert "bank" not in spread_words(seen, words, num=9, min_occurrences=2, max_occurrences=3)
    assert spread_words(seen, words, num=9, min_occurrences=2, known=["Money"]) == ["money"]
    assert spread_words(seen, words) == []


def test_a_word_that_is_not_there_twice_has_no_neighbours() -> None:
    seen = observed(DOCUMENTS[:2])
    assert word_neighbours(seen, words_of(seen), "river") is None
    assert word_neighbours(seen, words_of(seen), "absent") is None


def test_static_list_is_by_cosine_each_word_once() -> None:
    static = StaticWords(
        ["bank", "Bank", "money", " Money", "river", "cut"],
        np.array([at_angle(each) for each in (0, 90, -30, -20, 40, 1)]) * 3.0,
    )
    found = static_neighbours(static, "Bank", num=5, among=["bank", "money", "river"])
    assert found is not None
    assert [word for word, _ in found] == ["money", "river"]
    assert [value for _, value in found] == pytest.approx([cosine(0, 20), cosine(0, 40)])
    assert static_neighbours(static, "absent", num=5, among=["money"]) is None


def test_many_occurrences_are_thinned_and_all_counted() -> None:
    documents = ["the bank ."] * (2 * MAX_OCCURRENCES + 1)
    types = torch.tensor([IDS[word] for document in documents for word in document.split()])
    owners = torch.arange(len(documents)).repeat_interleave(3)
    states = torch.nn.functional.normalize(torch.randn(2, len(types), 4), dim=-1)
    seen = Observed(states, types, owners, torch.zeros(1, len(documents), 1, 6))
    found = word_neighbours(seen, words_of(seen), "bank")
    assert found is not None
    assert found.num_occurrences == len(documents)
    assert len(found.contexts) == 3


def test_page_shows_every_layer_and_escapes_the_text() -> None:
    documents = [each[:-1] + HOSTILE + " ." for each in DOCUMENTS]
    seen = observed(documents)
    static = StaticWords(["bank", "money"], np.eye(2) + 0.5)
    found = word_neighbours(seen, words_of(seen), "bank", static=static)
    assert found is not None
    inset = word_neighbours_inset(found)
    elements = Elements(inset.html)
    elements.assert_harmless()
    assert all("neighbours" in rule or "@media" in rule for rule in rules_of(inset.style))
    assert HOSTILE[:28] in elements.text
    assert "money 0.60" in elements.text
    assert elements.tags.count("tr") == 1 + 1 + 2
    assert "“bank” occurs 4 times" in inset.says
    assert "from 1.00 in the embeddings to 0.44 in layer 1, where Word2Vec has one" in inset.says
    assert "has no vector" not in elements.text


def test_a_page_without_static_vectors_says_so() -> None:
    seen = observed()
    found = word_neighbours(seen, words_of(seen), "bank")
    assert found is not None
    assert "no vector of this word" in word_neighbours_inset(found).html
    assert "Word2Vec" not in word_neighbours_inset(found).says


def test_works_on_what_an_encoder_gives() -> None:
    """Documents of unequal length are packed, so the sample's order is not the text's."""
    documents = [rising_documents(40, 1, longest=60), rising_documents(40, 2, longest=60)]
    sample = draw_sample(documents, num_documents=60, max_tokens_per_document=40, seed=3)
    seen = observe_sample(plain_encoder(), sample)
    letters = [chr(97 + each // 26) + chr(97 + each % 26) for each in range(CONFIG.vocab_size)]
    words = Words(seen, text_of(letters[: CONFIG.vocab_size - FIRST_WORD]))
    assert len(words.names) == sample.num_tokens - len(sample.documents)
    for word in range(0, len(words.names), 97):
        shown = words.occurrence(word)
        around = [letters.index(each) for each in f"{shown.before} {shown.after}".split()[1:-1]]
        assert around == sorted(around)  # documents rise, so neighbours in the text do
    commonest = max(words.words_of, key=lambda name: len(words.words_of[name]))
    found = word_neighbours(seen, words, commonest)
    assert found is not None
    assert [len(by_layer) for by_layer in found.nearest_CK] == [4, 4, 4]
    assert found.self_similarity_K[0] == pytest.approx(1.0)
    assert found.self_similarity_K[-1] < 0.99
