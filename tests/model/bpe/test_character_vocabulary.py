"""A vocabulary of characters with the end of words: one segmentation for every reader."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from model.bpe.alphabet import Alphabet, characters_of
from model.bpe.counting import count_words
from model.bpe.learner import LearnedMerges, learn
from model.bpe.marking import mark_words
from model.bpe.reference import encode
from model.bpe.tokenizer import END_OF_WORD, SPECIAL_TOKENS, spell_symbols, tokenizer_json
from tests.model.bpe.test_bpe_tokenizer import documentation

SPACES = [chr(p) for p in (*range(9, 14), 32, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x205F, 0x3000)]


@cache
def learned() -> LearnedMerges:
    words = count_words(mark_words(documentation()), "eow")
    alphabet = characters_of(words, max_characters=1000)
    return learn(words, num_merges=1500, alphabet=alphabet)


def alphabet() -> Alphabet:
    return learned().alphabet


@cache
def ours() -> Tokenizer:
    text = tokenizer_json(learned().merges, pattern="gpt4", alphabet=alphabet())
    return Tokenizer.from_str(text)


def by_rank(text: str) -> list[str]:
    """The tokens of a text by the definition, without the library."""
    words = count_words(mark_words([text]), "eow")
    spelling = spell_symbols(learned().merges, alphabet())
    tokens = [encode(word, learned().merges, alphabet()) for word, _ in words]
    return [spelling[symbol].decode() for symbols in tokens for symbol in symbols]


def test_the_library_cuts_every_training_word_as_the_learner_did() -> None:
    words = count_words(mark_words(documentation()), "eow")
    num_tokens = sum(len(ours().encode(text).ids) for text in documentation())
    assert num_tokens == learned().num_tokens
    for word, _ in list(words)[:500]:
        text = word.decode()
        if text.endswith(END_OF_WORD) and "[" not in text and "]" not in text:
            assert ours().encode(text.removesuffix(END_OF_WORD)).tokens == by_rank(text[:-1])


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from([*"the[]MASK.'", *SPACES, END_OF_WORD, "\ufffd", "字"])))
def test_marks_stand_where_the_files_normalizer_puts_them(text: str) -> None:
    [marked] = mark_words([text])
    assert ours().normalizer.normalize_str(text) == marked


def test_transformers_cuts_alike() -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_object=ours(), split_special_tokens=True)
    for text in documentation()[:50]:
        assert theirs(text)["input_ids"] == ours().encode(text).ids


def test_what_it_keeps_and_what_it_loses() -> None:
    def decoded(text: str) -> str:
        return ours().decode(ours().encode(text).ids, skip_special_tokens=False)

    assert decoded("the list, (of) arguments") == "the list, (of) arguments"
    assert decoded("  the \n\n list ") == "the list"
    assert ours().encode("the字").ids.count(1) == 1
    assert decoded(f"the{END_OF_WORD}list") == decoded("the\ufffdlist")


@pytest.mark.parametrize("name", [*SPECIAL_TOKENS, "[unused0]"])
@pytest.mark.parametrize("frame", ["{}", "a {} b", "a{}b", "{}.", "[{}]", "{0}{0} {0}"])
def test_names_of_special_tokens_are_data(name: str, frame: str) -> None:
    ids = ours().encode(frame.format(name)).ids
    assert not {0, 2, 3, 4} & set(ids)
    assert max(ids) < len(SPECIAL_TOKENS) + len(alphabet()) + len(learned().merges)
