"""Example sentences: whole, of fitting length, one a document, else the leading tokens."""

import numpy as np

from tasks.probe.page.example_sentences import example_sentences
from tasks.probe.sample import Tokens
from tests.tasks.probe.spelling import FIRST_WORD, text_of

VOCABULARY = ["He", "They", "saw", "it", "and", "went", ".", "12", "\n", "?”"]
TEXT = text_of(VOCABULARY)


def tokens(words: str) -> Tokens:
    return np.array([VOCABULARY.index(each) + FIRST_WORD for each in words.split(" ")], np.uint16)


def chosen(documents: list[str], num: int = 3, longest: int = 6) -> list[str]:
    found = example_sentences(
        [tokens(each) for each in documents], TEXT, num=num, min_tokens=4, max_tokens=longest
    )
    return [" ".join(VOCABULARY[each - FIRST_WORD] for each in one) for one in found]


def test_first_fitting_sentence_of_each_document() -> None:
    documents = [
        "He saw . They saw it . He went and saw .",  # the first is too short
        "They saw it and went and saw it . He saw it ?”",  # the first is too long
        "12 12 12 12 . saw it and went . They went and saw .",  # figures; no beginning
    ]
    assert chosen(documents) == ["They saw it .", "He saw it ?”", "They went and saw ."]
    assert chosen(documents, num=1) == ["They saw it ."]


def test_a_line_break_ends_a_sentence_but_makes_none() -> None:
    assert chosen(["He saw it and \n They went and saw . it"], num=1) == ["They went and saw ."]


def test_documents_without_a_sentence_follow_with_their_leading_tokens() -> None:
    documents = ["saw it", "He saw it .", "saw it and went and saw it and went"]
    assert chosen(documents) == ["He saw it .", "saw it and went and saw", "saw it"]
    assert chosen(documents, num=2) == ["He saw it .", "saw it and went and saw"]


def test_nothing_comes_of_nothing() -> None:
    assert example_sentences([], TEXT) == []
    assert example_sentences([np.array([], np.uint16)], TEXT) == []
